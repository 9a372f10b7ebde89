"""Who a process is, from the variables of whoever started it."""

import pytest

from pansight.errors import InputError
from pansight.training.cluster import Cluster, Place, detect, first_host, placed
from pansight.training.recipes import make_config

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4",
    "GROUP_RANK": "1", "MASTER_ADDR": "head", "MASTER_PORT": "29500",
}  # fmt: skip
SLURM = {
    "SLURM_JOB_ID": "12345", "SLURM_PROCID": "6", "SLURM_NTASKS": "8", "SLURM_LOCALID": "2",
    "SLURM_NODEID": "1", "SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "gpu[007-008]",
    "SLURM_JOB_NAME": "pansight",
}  # fmt: skip
KUBERNETES = {
    "KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "3", "WORLD_SIZE": "4",
    "MASTER_ADDR": "train-0.train", "MASTER_PORT": "29500",
}  # fmt: skip


def test_torchrun() -> None:
    assert detect(TORCHRUN) == Place("torchrun", 5, 8, 1, 4, 1, 2, "head", 29500)


def test_slurm_names_the_first_machine_and_a_port_of_the_job() -> None:
    assert detect(SLURM) == Place("srun", 6, 8, 2, 4, 1, 2, "gpu007", 15_000 + 12345)
    step = {**SLURM, "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1", "SLURM_PROCID": "1"}
    place = detect({**step, "MASTER_ADDR": "other", "MASTER_PORT": "1234"})
    assert place is not None
    assert (place.world, place.nodes, place.address, place.port) == (2, 1, "other", 1234)


def test_torchrun_inside_of_slurm_goes_first() -> None:
    place = detect({**SLURM, **TORCHRUN})
    assert place is not None and place.how == "torchrun"


def test_kubernetes() -> None:
    assert detect(KUBERNETES) == Place("Kubernetes", 3, 4, 0, 1, 3, 4, "train-0.train", 29500)
    pytorch_job = {**KUBERNETES, "RANK": "2"}
    place = detect(pytorch_job)
    assert place is not None and place.rank == 2


@pytest.mark.parametrize(
    "alone",
    [
        {},
        {**SLURM, "SLURM_NTASKS": "1", "SLURM_NNODES": "1", "SLURM_PROCID": "0"},
        {**SLURM, "SLURM_JOB_NAME": "interactive"},
        {"WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "here"},  # Lightning's own children
        {**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0", "LOCAL_WORLD_SIZE": "1"},
    ],
)
def test_a_single_process_has_no_place(alone: dict[str, str]) -> None:
    assert detect(alone) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RANK": "8"}, "torchrun says rank 8 of 8"),
        ({"LOCAL_WORLD_SIZE": "3"}, "start equally many on each"),
        ({"RANK": "first"}, "RANK=first, which is not a number"),
    ],
)
def test_contradictions_are_named(changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        detect({**TORCHRUN, **changes})


def test_the_configuration_follows() -> None:
    config = make_config({})
    place = detect(TORCHRUN)
    assert placed(config, None) is config
    assert (placed(config, place).devices, placed(config, place).nodes) == (4, 2)
    with pytest.raises(InputError, match="devices=3, but torchrun started 4; leave devices out"):
        placed(make_config({"devices": 3}), place)
    assert place is not None
    cluster = Cluster(place)
    assert (cluster.world_size(), cluster.global_rank(), cluster.local_rank(), cluster.node_rank()) == (
        8,
        5,
        1,
        1,
    )
    assert (cluster.main_address, cluster.main_port) == ("head", 29500)


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("a", "a"),
        ("a,b", "a"),
        ("n[1-3]", "n1"),
        ("n[07,09],m", "n07"),
        ("rack1-gpu[003-004]", "rack1-gpu003"),
    ],
)
def test_lists_of_machines(hosts: str, first: str) -> None:
    assert first_host(hosts) == first

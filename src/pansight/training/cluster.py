"""Which of several processes this one is, according to torchrun, Slurm's srun or Kubernetes."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

from pansight.errors import InputError
from pansight.training.config import TrainConfig

PORTS = (15_000, 20_000)
"""first port, and how many of them, that a job's number chooses from where none is given"""


class Place(NamedTuple):
    """One process among those of a training."""

    how: str
    """who started it, for messages"""
    rank: int
    world: int
    local_rank: int
    """among the processes of its machine"""
    local_world: int
    node: int
    nodes: int
    address: str
    """of the process of rank 0"""
    port: int


def detect(environment: Mapping[str, str] | None = None) -> Place | None:
    """This process's place by its environment variables; None: it is the only one, or starts the others.

    torchrun takes precedence over Slurm, inside which it may run. Kubernetes' PyTorchJobs and Indexed Jobs
    have one process per pod unless LOCAL_WORLD_SIZE says otherwise, and the pod's number from RANK or
    JOB_COMPLETION_INDEX.

    Raises InputError for variables that are not numbers, or contradict each other.

    Example:
        >>> detect({"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "trainer-0", "MASTER_PORT": "29500"}).rank
        3
    """
    found = os.environ if environment is None else environment
    place = _torchrun(found) or _slurm(found) or _plain(found)
    if place is None or place.world < 2:
        return None
    if not 0 <= place.rank < place.world or place.local_world * place.nodes != place.world:
        raise InputError(
            f"{place.how} says rank {place.rank} of {place.world}, {place.local_world} on each of "
            f"{place.nodes} machines; start equally many on each"
        )
    return place


def placed(config: TrainConfig, place: Place | None) -> TrainConfig:
    """The configuration with as many devices and nodes as there are processes.

    Raises InputError where it asks for others.
    """
    if place is None:
        return config
    for name, wanted, there in (
        ("devices", config.devices, place.local_world),
        ("nodes", config.nodes, place.nodes),
    ):
        if wanted not in (1, there):
            raise InputError(f"{name}={wanted}, but {place.how} started {there}; leave {name} out")
    return config.model_copy(update={"devices": place.local_world, "nodes": place.nodes})


class Cluster(ClusterEnvironment):
    """A place in Lightning's terms."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    @property
    def creates_processes_externally(self) -> bool:
        """The launcher starts all processes."""
        return True

    @property
    def main_address(self) -> str:
        """Of rank 0."""
        return self.place.address

    @property
    def main_port(self) -> int:
        """Of rank 0."""
        return self.place.port

    @staticmethod
    def detect() -> bool:
        """The launcher creates it."""
        return False

    def world_size(self) -> int:
        """Of all machines."""
        return self.place.world

    def set_world_size(self, size: int) -> None:
        """Fixed by the launcher."""

    def global_rank(self) -> int:
        """Among all."""
        return self.place.rank

    def set_global_rank(self, rank: int) -> None:
        """Fixed by the launcher."""

    def local_rank(self) -> int:
        """On this machine."""
        return self.place.local_rank

    def node_rank(self) -> int:
        """Of this machine."""
        return self.place.node


def _torchrun(found: Mapping[str, str]) -> Place | None:
    if "TORCHELASTIC_RUN_ID" not in found:
        return None
    world = _number(found, "WORLD_SIZE")
    local_world = _number(found, "LOCAL_WORLD_SIZE", world)
    return Place(
        "torchrun",
        _number(found, "RANK"),
        world,
        _number(found, "LOCAL_RANK"),
        local_world,
        _number(found, "GROUP_RANK", 0),
        max(world // max(local_world, 1), 1),
        found.get("MASTER_ADDR", "127.0.0.1"),
        _number(found, "MASTER_PORT", PORTS[0]),
    )


def _slurm(found: Mapping[str, str]) -> Place | None:
    # a shell that salloc or srun --pty opened is one process, whatever was allocated
    if "SLURM_PROCID" not in found or found.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return None
    world = _number(found, "SLURM_STEP_NUM_TASKS", _number(found, "SLURM_NTASKS", 1))
    nodes = _number(found, "SLURM_STEP_NUM_NODES", _number(found, "SLURM_NNODES", 1))
    job = _number(found, "SLURM_JOB_ID", 0)
    hosts = found.get("SLURM_STEP_NODELIST") or found.get("SLURM_JOB_NODELIST") or "127.0.0.1"
    return Place(
        "srun",
        _number(found, "SLURM_PROCID"),
        world,
        _number(found, "SLURM_LOCALID", 0),
        max(world // max(nodes, 1), 1),
        _number(found, "SLURM_NODEID", 0),
        nodes,
        found.get("MASTER_ADDR") or first_host(hosts),
        _number(found, "MASTER_PORT", PORTS[0] + job % PORTS[1]),
    )


def _plain(found: Mapping[str, str]) -> Place | None:
    rank = "RANK" if "RANK" in found else "JOB_COMPLETION_INDEX"
    if rank not in found or "WORLD_SIZE" not in found or "MASTER_ADDR" not in found:
        return None
    how = "Kubernetes" if "KUBERNETES_SERVICE_HOST" in found else "WORLD_SIZE"
    world, local_world = _number(found, "WORLD_SIZE"), _number(found, "LOCAL_WORLD_SIZE", 1)
    number = _number(found, rank)
    return Place(
        how,
        number,
        world,
        _number(found, "LOCAL_RANK", number % max(local_world, 1)),
        local_world,
        number // max(local_world, 1),
        max(world // max(local_world, 1), 1),
        found["MASTER_ADDR"],
        _number(found, "MASTER_PORT", PORTS[0]),
    )


def first_host(hosts: str) -> str:
    """The first of Slurm's list of machines.

    Example:
        >>> first_host("gpu[007-009,012],login1")
        'gpu007'
    """
    found = re.match(r"([^,\[]+)(?:\[([^\]]+)\])?", hosts.strip())
    if found is None:
        raise InputError(f"Slurm's list of machines {hosts!r} cannot be read; set MASTER_ADDR")
    return found[1] + (re.split("[-,]", found[2])[0] if found[2] else "")


def _number(found: Mapping[str, str], name: str, otherwise: int | None = None) -> int:
    text = found.get(name)
    if text is None and otherwise is not None:
        return otherwise
    try:
        return int(text or "")
    except ValueError:
        raise InputError(
            f"the environment says {name}={text}, which is not a number; unset or correct it"
        ) from None

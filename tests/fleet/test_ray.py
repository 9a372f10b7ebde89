"""The real thing: a cluster of this machine, two workers, and whoever kills them."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import psutil  # type: ignore[import-untyped]
import pyarrow.dataset
import pytest
import torch
from moto.server import ThreadedMotoServer
from PIL import Image
from ray.cluster_utils import Cluster

import pansight as library
from pansight.cli import main
from pansight.panoptic.ids import rgb_to_ids
from pansight.scenes import render_scene

MODEL = "yoso-tiny"


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """An S3 server; workers find it by their environment."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir("archive")
        yield "s3://archive"
    server.stop()


@pytest.fixture(scope="session")
def cluster(bucket: str) -> Iterator[Cluster]:
    """A cluster with room for two workers.

    Ray gives up when its agent does not say within 15 seconds which port it has, and on a machine that runs
    tests it may not. It is told its ports here, and what it would say is said for it.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(4)]
        for one in sockets:
            one.bind(("", 0))
        metrics, listen, environment, export = (one.getsockname()[1] for one in sockets)
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # sockets lie in it, whose paths must be short
    started = threading.Event()

    def say() -> None:
        while not started.wait(0.1):
            for server in folder.glob("session_2*/gcs_server_port_*"):
                said = server.with_name(server.name.replace("gcs_server", "dashboard_agent_listen"))
                said.write_text(str(listen))

    thread = threading.Thread(target=say)
    thread.start()
    try:
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 2,
                "temp_dir": str(folder),
                "include_dashboard": False,
                "include_log_monitor": False,
                "no_monitor": True,
                "metrics_agent_port": metrics,
                "dashboard_agent_listen_port": listen,
                "runtime_env_agent_port": environment,
                "metrics_export_port": export,
                # a machine that does not answer is given up after 5 seconds, not 24
                "_system_config": {"health_check_period_ms": 1000},
            },
        )
    finally:
        started.set()
        thread.join()
    yield cluster
    cluster.shutdown()  # type: ignore[no-untyped-call]
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def address(cluster: Cluster) -> str:
    """Of that cluster."""
    return str(cluster.address)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty scenes, the first damaged."""
    folder = tmp_path_factory.mktemp("scenes")
    for number in range(40):
        Image.fromarray(render_scene(9, number, 96, 128).image).save(folder / f"{number:03d}.png")
    (folder / "000.png").write_bytes((folder / "001.png").read_bytes()[:1000])
    return folder


@pytest.fixture
def pansight(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run `pansight` with these arguments through its entry point: exit code, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pansight", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main.run()
        return int(caught.value.code or 0), *capfd.readouterr()

    return run


def index(output: Path) -> list[dict[str, Any]]:
    return list(pyarrow.dataset.dataset(output / "index").to_table().to_pylist())


def parts(output: Path) -> int:
    return len(list((output / "index").glob("part-*")))


def at_work(output: Path) -> list[int]:
    """The processes of workers that are at a shard."""
    found = []
    for mark in (output / ".fleet" / "attempts").glob("*--*"):
        with suppress(OSError, IndexError, ValueError):  # the shard is done meanwhile
            found.append(int(mark.read_text().split()[1]))
    return found


def eventually(condition: Callable[[], Any], driver: "subprocess.Popen[bytes]") -> Any:
    until = time.monotonic() + 240
    while not (found := condition()):
        assert driver.poll() is None, "the driver has ended too early"
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)
    return found


def test_forty_images_are_labelled_once_whoever_is_killed(
    address: str, scenes: Path, tmp_path: Path, pansight: Callable[..., tuple[int, str, str]]
) -> None:
    """Three workers and the driver, by SIGKILL; then the same command again."""
    output = tmp_path / "labels"
    arguments = [
        "predict", str(scenes), "--engine", "ray", "--output", str(output), "--model", MODEL,
        "--workers", "2", "--shard-size", "1", "--ray-address", address,
    ]  # fmt: skip
    command = ["pansight", *arguments]
    code = f"import sys; from pansight.cli.main import run; sys.argv = {command!r}; run()"
    driver = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    killed: set[int] = set()
    try:
        for _ in range(3):
            eventually(lambda: parts(output) > len(killed), driver)
            worker = eventually(lambda: [one for one in at_work(output) if one not in killed], driver)[0]
            os.kill(worker, signal.SIGKILL)
            killed.add(worker)
        done = parts(output)
        eventually(lambda: parts(output) > done, driver)
    finally:
        driver.kill()
        driver.wait()
    assert len(killed) == 3
    assert parts(output) < 40, "everything was done before the driver was killed"

    exit_code, out, err = pansight(*arguments, "--format", "coco")
    assert exit_code == 1, err
    assert "40 inputs: 39 segmented, 1 failed" in out
    rows = index(output)
    assert Counter(row["input"] for row in rows) == {str(scenes / f"{n:03d}.png"): 1 for n in range(40)}
    (failed,) = [row for row in rows if row["status"] == "failed"]
    assert failed["input"].endswith("000.png")
    assert "damaged or cut short" in failed["error"]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker has them
    try:
        segmenter = library.load(MODEL)
        maps = {row["input"]: segmenter(row["input"]) for row in rows if row["status"] == "done"}
    finally:
        torch.set_num_threads(threads)
    for row in rows:
        if row["status"] == "done":
            written = rgb_to_ids(np.asarray(Image.open(output / row["mask"])))
            assert (written == maps[row["input"]].ids).all(), row["input"]
    pngs = sorted(str(path.relative_to(output)) for path in (output / "predictions").rglob("*.png"))
    assert pngs == sorted(row["mask"] for row in rows if row["mask"])
    table = json.loads((output / "predictions.json").read_text())
    assert [image["file_name"] for image in table["images"]] == [f"{n:03d}.png" for n in range(1, 40)]

    # nothing is left to do, and it says so again
    exit_code, out, err = pansight(*arguments)
    assert (exit_code, "shards to do" in err) == (1, False)


@pytest.fixture
def machine(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[psutil.Process]:
    """A second machine of the cluster, with room for one worker: its raylet, the parent of its workers."""
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "300000")
    for left in reversed(range(3)):
        try:
            node = cluster.add_node(num_cpus=1)
            break
        except Exception:  # Ray has no class of its own for a start that took too long
            if not left:
                raise
    (raylet,) = node.all_processes["raylet"]
    yield psutil.Process(raylet.process.pid)
    with suppress(Exception):  # it is dead already
        cluster.remove_node(node, allow_graceful=False)


def test_a_machine_that_dies_takes_no_result_with_it(
    machine: psutil.Process,
    address: str,
    scenes: Path,
    tmp_path: Path,
) -> None:
    """All processes of one of two machines, by SIGKILL, while its worker is at a shard; the same call goes
    on with the machine that is left."""
    output = tmp_path / "labels"
    command = [
        "pansight", "predict", str(scenes), "--engine", "ray", "--output", str(output), "--model", MODEL,
        "--workers", "3", "--shard-size", "1", "--ray-address", address,
    ]  # fmt: skip
    code = f"import sys; from pansight.cli.main import run; sys.argv = {command!r}; run()"
    with (tmp_path / "errors").open("w") as errors:
        driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=errors)
    try:

        def its_worker() -> set[int]:
            return {child.pid for child in machine.children()} & {*at_work(output)}

        eventually(its_worker, driver)
        for process in [machine, *machine.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        done = parts(output)
        assert done < 40, "everything was done before the machine died"
        assert driver.wait(timeout=240) == 1  # one image is damaged
    finally:
        driver.kill()
        driver.wait()
    rows = index(output)
    assert Counter(row["input"] for row in rows) == {str(scenes / f"{n:03d}.png"): 1 for n in range(40)}
    assert [row["input"] for row in rows if row["status"] == "failed"] == [str(scenes / "000.png")]
    said = (tmp_path / "errors").read_text()
    assert "Traceback" not in said
    assert "core_worker" not in said


def test_from_a_store_into_a_store(
    bucket: str, address: str, scenes: Path, pansight: Callable[..., tuple[int, str, str]]
) -> None:
    store = fsspec.filesystem("s3")
    names = [f"{n:03d}.png" for n in range(1, 5)]
    for name in names[:2]:
        store.put_file(str(scenes / name), f"archive/in/{name}")
    with store.open("archive/in/more.tar", "wb") as file, tarfile.open(fileobj=file, mode="w|") as archive:
        for name in names[2:]:
            archive.add(scenes / name, name)
    arguments = (
        "predict", f"{bucket}/in", "--engine", "ray", "--output", f"{bucket}/out", "--model", MODEL,
        "--shards", "--ray-address", address, "--workers", "1",
    )  # fmt: skip
    code, out, err = pansight(*arguments)
    assert code == 0, err
    assert "4 inputs: 4 segmented, 0 failed" in out
    table = pyarrow.dataset.dataset("archive/out/index", filesystem=store).to_table().to_pylist()
    assert [row["input"] for row in sorted(table, key=lambda row: row["input"])] == [
        *(f"s3://archive/in/{name}" for name in names[:2]),
        *(f"s3://archive/in/more.tar::{name}" for name in names[2:]),
    ]
    path, _, member = table[0]["mask"].partition("::")
    with tarfile.open(fileobj=io.BytesIO(store.cat_file(f"archive/out/{path}"))) as archive:
        file = archive.extractfile(member)
        assert file is not None
        ids = rgb_to_ids(np.asarray(Image.open(file)))
    assert {*np.unique(ids)} - {0} == {segment["id"] for segment in table[0]["segments"]}
    assert pansight(*arguments)[0] == 0


def test_other_settings_are_refused_before_anything_starts(
    scenes: Path, tmp_path: Path, pansight: Callable[..., tuple[int, str, str]]
) -> None:
    (tmp_path / "empty").mkdir()
    arguments = (
        "predict",
        tmp_path / "empty",
        "--engine",
        "ray",
        "--output",
        tmp_path / "out",
        "--model",
        MODEL,
    )
    for options, said in (
        (("--ray-address", "127.0.0.1:1", "--device", "mps"), "use auto, cpu or cuda"),
        (("--set", "merge.keep_share=0.9"), "another merge settings"),
        (("--shards",), "another --shards"),
        (("--format", "overlay"), "use coco, or leave it out"),
        (("--track",), "is for videos"),
    ):
        code, _, err = pansight(*arguments, *options)
        assert code == 2
        assert said in err
    code, _, err = pansight("predict", scenes, "--shards")
    assert (code, "--shards works only with --engine ray" in err) == (2, True)


def test_evaluation_by_workers_is_that_of_one_process(
    address: str, tmp_path: Path, pansight: Callable[..., tuple[int, str, str]]
) -> None:
    scored = {}
    for name, options in (
        ("one", ()),
        ("many", ("--engine", "ray", "--ray-address", address, "--workers", "2")),
    ):
        file = tmp_path / f"{name}.json"
        code, _, err = pansight(
            "evaluate", "--model", MODEL, "--data", "scenes", "--limit", "6", "--ap", "--json", file, *options
        )
        assert code == 0, err
        scored[name] = json.loads(file.read_text())
    assert scored["one"] == scored["many"]


def test_files_scored_by_workers_are_those_of_one_process(
    address: str, scenes: Path, tmp_path: Path, pansight: Callable[..., tuple[int, str, str]]
) -> None:
    for name, threshold in (("truth", "0.5"), ("guess", "0.1")):
        pansight(
            "predict", scenes, "--model", MODEL, "--format", "coco", "--output", tmp_path / name,
            "--object-threshold", threshold,
        )  # fmt: skip
    files = (tmp_path / "truth" / "predictions.json", tmp_path / "guess" / "predictions.json")
    scored = {}
    for name, options in (
        ("one", ()),
        ("many", ("--engine", "ray", "--ray-address", address, "--workers", "2")),
    ):
        file = tmp_path / f"{name}.json"
        code, _, err = pansight("evaluate", *files, "--bootstrap", "20", "--json", file, *options)
        assert code == 0, err
        scored[name] = json.loads(file.read_text())
    assert scored["one"] == scored["many"]
    assert scored["one"]["all"]["pq"] < 100

"""`pansight serve` as a process: what it says, and that SIGTERM loses nothing."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from serving import wait_for

from pansight.models.yoso import YOSO
from pansight.zoo import save_native


@pytest.fixture(scope="module")
def weights(model: YOSO, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model as a native file."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_native(model, path)
    return path


@pytest.fixture
def process(weights: Path, tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`pansight serve` with the small model and one of damaged weights, and its address."""
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights.read_bytes()[:-4000])
    command = [sys.executable, "-m", "pansight.cli.main", "serve", "--port", "0", "--model", str(weights)]
    command += ["--model", f"cut={damaged}", "--max-batch", "2"]
    log = (tmp_path / "log").open("w")
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ)
    assert serving.stdout is not None
    line = serving.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, (line, (tmp_path / "log").read_text())
    assert line.startswith("serving small, cut on http://127.0.0.1:")
    yield serving, found[0]
    serving.kill()
    serving.wait()
    log.close()


def test_sigterm_under_load_answers_what_was_accepted(
    process: tuple["subprocess.Popen[str]", str], png: bytes, tmp_path: Path
) -> None:
    serving, url = process
    damaged = httpx.post(f"{url}/v1/segment", params={"model": "cut"}, content=png, timeout=30)
    assert damaged.status_code == 500 and "\n" not in damaged.json()["error"]
    answered: list[int] = []
    lost: list[Exception] = []

    def client() -> None:
        with httpx.Client(timeout=60) as session:
            while True:
                try:
                    answered.append(session.post(f"{url}/v1/segment", content=png).status_code)
                except httpx.ConnectError:
                    return  # it listens no more
                except httpx.HTTPError as error:
                    lost.append(error)
                    return

    clients = [threading.Thread(target=client) for _ in range(8)]
    for one in clients:
        one.start()
    assert wait_for(lambda: len(answered) > 20, 60)
    before = len(answered)
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(30) == 0
    for one in clients:
        one.join(60)
    assert lost == []
    assert set(answered) == {200}
    assert len(answered) >= before
    log = (tmp_path / "log").read_text()
    assert '"message": "ended", "lost": false' in log and "Traceback" not in log


def test_a_request_that_is_still_arriving_is_answered_too(
    process: tuple["subprocess.Popen[str]", str], png: bytes
) -> None:
    serving, url = process
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = f"POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Length: {len(png)}\r\n\r\n"
        connection.sendall(head.encode() + png[:50])
        time.sleep(0.3)
        serving.send_signal(signal.SIGTERM)
        time.sleep(1.0)
        connection.sendall(png[50:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert serving.wait(30) == 0

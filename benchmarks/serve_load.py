"""Load on `pansight serve`: many clients, micro-batching on and off, and SIGTERM at the end.

    python benchmarks/serve_load.py --clients 64 --seconds 300 --model yoso-tiny
    python benchmarks/serve_load.py --clients 16 --seconds 20 --max-batch 1 --max-batch 8

For each `--max-batch` one server is started; clients send one image after the other, honour Retry-After and
count. Rounds alternate between the servers, so that a busy machine is unfair to all. Prints a JSON object
for each.
"""

import argparse
import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from pansight.scenes import render_scene


@dataclass
class Tally:
    """What clients of one server saw."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0
    memory: list[int] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """Figures as JSON."""
        taken = np.array(self.seconds or [float("nan")])
        late = self.memory[len(self.memory) // 2 :]
        return {
            "answers": dict(self.statuses),
            "images_a_second": round(self.statuses["200"] / max(self.elapsed, 1e-9), 2),
            "p50_ms": round(1000 * float(np.percentile(taken, 50)), 1),
            "p95_ms": round(1000 * float(np.percentile(taken, 95)), 1),
            "memory_mb_first_and_last": [self.memory[0] >> 20, self.memory[-1] >> 20] if self.memory else [],
            "memory_growth_second_half": round(late[-1] / late[0] - 1, 4) if late else None,
        }


def image_file(size: int) -> bytes:
    """A scene as JPEG, `size` pixels wide."""
    file = io.BytesIO()
    Image.fromarray(render_scene(5, 0, size * 3 // 4, size).image).save(file, "jpeg", quality=90)
    return file.getvalue()


def start(model: str, max_batch: int, options: list[str], log: Path) -> tuple["subprocess.Popen[str]", str]:
    """A server and its address."""
    command = [sys.executable, "-m", "pansight.cli.main", "serve", "--port", "0", "--model", model]
    command += ["--max-batch", str(max_batch), *options]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    if not found:
        raise SystemExit(f"the server did not start: {log.read_text()}")
    return process, found[0]


def resident(pid: int) -> int:
    """Bytes of memory of the process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def round_of(url: str, pid: int, clients: int, seconds: float, content: bytes, tally: Tally) -> None:
    """Let the clients work for a while."""
    end = time.monotonic() + seconds
    started = time.monotonic()

    async def client(session: httpx.AsyncClient) -> None:
        while time.monotonic() < end:
            begun = time.monotonic()
            try:
                response = await session.post(f"{url}/v1/segment", content=content)
            except httpx.HTTPError as error:
                tally.statuses[type(error).__name__] += 1
                continue
            tally.statuses[str(response.status_code)] += 1
            if response.status_code == 200:
                tally.seconds.append(time.monotonic() - begun)
            elif response.status_code == 429:
                await asyncio.sleep(float(response.headers["Retry-After"]))

    async def watch() -> None:
        while time.monotonic() < end:
            tally.memory.append(resident(pid))
            await asyncio.sleep(min(1.0, seconds / 10))

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(timeout=120, limits=limits) as session:
        await asyncio.gather(watch(), *(client(session) for _ in range(clients)))
    tally.elapsed += time.monotonic() - started


def main() -> None:
    """Run the rounds, end the servers under load, print what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=300, help="for each server, all rounds together")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--model", default="yoso-tiny")
    parser.add_argument("--size", type=int, default=512, help="width of the image in pixels")
    parser.add_argument("--max-batch", type=int, action="append", default=None)
    parser.add_argument("--logs", type=Path, default=Path("serve-load-logs"))
    known, options = parser.parse_known_args()
    known.logs.mkdir(exist_ok=True)
    content = image_file(known.size)
    batches = known.max_batch or [8]
    servers = [start(known.model, batch, options, known.logs / f"batch-{batch}.jsonl") for batch in batches]
    tallies = [Tally() for _ in servers]
    for process, url in servers:
        asyncio.run(round_of(url, process.pid, 2, 1.0, content, Tally()))  # warm
    for _ in range(known.rounds):
        for (process, url), tally in zip(servers, tallies, strict=True):
            share = known.seconds / known.rounds
            asyncio.run(round_of(url, process.pid, known.clients, share, content, tally))
    for batch, (process, _), tally in zip(batches, servers, tallies, strict=True):
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        ended = {"exit_code": code, "seconds_to_end": round(time.monotonic() - begun, 2)}
        print(json.dumps({"max_batch": batch, "clients": known.clients, **tally.report(), **ended}))


if __name__ == "__main__":
    main()

"""A live stream whose server is killed again and again: does it come back, and does memory stay flat?

    python benchmarks/video_stream.py rtsp://127.0.0.1:8554/live --server 'COMMAND' --minutes 10 --kills 4

COMMAND serves a looped film at the address (MediaMTX with FFmpeg, GStreamer's RTSP server ...). It is
started, killed (SIGKILL) `--kills` times at equal distances, and started again after `--pause` seconds. The
stream is tracked all the while. Prints every change of the source, memory twice a minute, and writes JSON.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pansight
from pansight.video.frames import SourceEvent


class Server:
    """The server's process group; killed at once, without a farewell."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def resident() -> float:
    """MB of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def disturb(server: Server, seconds: float, kills: int, pause: float, killed: list[float]) -> None:
    """Kill and start the server, the last time long enough before the end to see the stream come back."""
    for _ in range(kills):
        time.sleep(seconds / (kills + 1) - pause)
        server.kill()
        killed.append(time.monotonic())
        print("server killed", flush=True)
        time.sleep(pause)
        server.start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address")
    parser.add_argument("--server", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds without a server")
    parser.add_argument("--model", default="yoso-tiny")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/video-stream.json"))
    options = parser.parse_args()
    server = Server(options.server)
    server.start()
    time.sleep(2)
    segmenter = pansight.load(options.model)
    events: list[dict[str, Any]] = []
    began = time.monotonic()

    def note(event: SourceEvent) -> None:
        events.append(
            {"at": round(time.monotonic() - began, 1), "state": event.state.value, "message": event.message}
        )
        print(events[-1], flush=True)

    seconds = 60 * options.minutes
    killed: list[float] = []
    arguments = (server, seconds, options.kills, options.pause, killed)
    threading.Thread(target=disturb, args=arguments, daemon=True).start()
    frames, dropped, latency = 0, 0, 0.0
    memory: list[float] = []
    resumed: list[float] = []
    try:
        for result in segmenter.track(options.address, on_event=note):
            now = time.monotonic()
            if len(resumed) < len(killed) and now - killed[-1] > options.pause:
                resumed.append(round(now - killed[-1] - options.pause, 1))
            frames, dropped, latency = frames + 1, result.dropped, max(latency, result.latency)
            if now - began >= 30 * (len(memory) + 1):
                memory.append(round(resident(), 1))
                print(f"{now - began:.0f} s: {frames} frames, {dropped} dropped, {memory[-1]} MB", flush=True)
            if now - began >= seconds:
                break
    finally:
        server.kill()
    steady = memory[len(memory) // 4 :]
    found = {
        "minutes": options.minutes,
        "frames": frames,
        "dropped": dropped,
        "worst_latency_ms": round(1000 * latency, 1),
        "kills": len(killed),
        "seconds_from_server_to_first_frame": resumed,
        "memory_mb": memory,
        "memory_spread": round((max(steady) - min(steady)) / min(steady), 4) if steady else None,
        "events": events,
    }
    print(json.dumps({name: value for name, value in found.items() if name != "events"}))
    options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

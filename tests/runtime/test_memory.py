"""Freed memory stays with the processes that are ours, unless their user decided otherwise."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
{importing}

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(60_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

{call}
faults()
print(faults())
"""


KEPT = {
    "importing": "from pansight.runtime.memory import keep_freed_memory",
    "call": "keep_freed_memory()",
}
WORKER = {
    "importing": "from pansight.fleet.cluster import _Worker",
    "call": "_Worker(lambda: None, ())",
}


def faults(started: dict[str, str], **environment: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(**started)],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        | environment,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
@pytest.mark.parametrize("started", [KEPT, WORKER], ids=["command-line", "worker-of-a-fleet"])
def test_pages_are_mapped_once(started: dict[str, str]) -> None:
    # ten buffers of 60 MB are 146,000 pages of 4 KiB, or 290 huge ones
    assert faults(started) < 100
    assert faults(started, MALLOC_TRIM_THRESHOLD_="131072") > 250

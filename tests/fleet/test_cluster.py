"""What a worker does before its first item; the rest of a cluster is in test_ray.py."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from pansight.fleet.cluster import _Worker

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(60_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

_Worker(lambda: None, ())
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_a_worker_keeps_the_memory_of_one_image_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command line does: without it a worker had 400 page faults an image where `predict` had one."""
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100

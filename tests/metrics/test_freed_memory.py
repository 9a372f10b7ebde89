import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from pansight.metrics.freed_memory import reuse_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        pictures = [np.ones(1_200_000, np.uint8) for _ in range(5)]
        del pictures
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
fresh = faults()
reuse_freed_memory()
reuse_freed_memory()
faults()
print(fresh, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_pages_are_mapped_once() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    fresh, reused = (int(number) for number in done.stdout.split())
    # 20 rounds of 5 buffers of 293 pages.
    assert fresh > 5_000
    assert reused < fresh / 10

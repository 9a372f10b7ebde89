"""How this process shares the processor."""

import os
import sys

from pansight.runtime.cores import usable_cores


def share_cores() -> None:
    """As many threads as there are cores, which sleep when idle; to be called before torch is imported.

    In a container torch counts the machine's cores, not those that it is granted.

    Spinning wins microseconds on an idle machine. Where something else runs, if only our own decoding of the
    next image, a thread that spins keeps a core from the one it waits for: up to 100 times slower.
    A choice that the user made in the environment stands.
    """
    if "torch" in sys.modules:
        return
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    cores = usable_cores()
    if cores < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(cores))

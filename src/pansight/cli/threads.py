"""How this process shares the processor."""

import os
import sys


def share_cores() -> None:
    """Let idle threads of torch sleep, not spin; to be called before torch is imported.

    Spinning wins microseconds on an idle machine. Where something else runs, if only our own decoding of the
    next picture, a thread that spins keeps a core from the one it waits for: up to 100 times slower.
    A choice that the user made in the environment stands.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")

"""Keeping the memory of one picture for the next one, instead of giving it back to the system each time."""

from functools import cache

import numpy as np

_BLOCK = 1 << 24
"""Bytes; more than the buffers of one picture take, less than the 32 MiB at which glibc stops learning."""


@cache
def reuse_freed_memory() -> None:
    """Make this process reuse freed buffers of up to 16 MiB; for loops over many pictures.

    By default the C library of Linux takes each large buffer fresh from the system and gives it back when it
    is freed. Every page of it must then be mapped and cleared again for the next picture, which takes about
    as long as inflating an id picture does. glibc learns: freeing a large buffer raises the size up to which
    it keeps memory (mallopt(3), M_MMAP_THRESHOLD). So one buffer is taken, never touched, and freed. At most
    32 MiB more stay with the process. Other C libraries ignore it. Calling it again does nothing.
    """
    np.empty(_BLOCK, dtype=np.uint8)

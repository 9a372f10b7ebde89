"""The memory of one image is kept for the next one, instead of being given back to the system each time."""

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's options (mallopt(3))"""

_KEPT = 1 << 29
"""Bytes that may stay free on top of the heap."""

_FROM_HEAP = 1 << 28
"""Bytes up to which a block comes from the heap, where it is kept, and not from the system."""


def keep_freed_memory() -> None:
    """Make this process reuse freed buffers of any usual size; where the C library is not glibc, do nothing.

    By default glibc gives large buffers back when they are freed, and every page must be mapped and cleared
    again for the next image: merging `dense-tiny`'s masks then takes 58 ms instead of 35 and the whole call
    112 instead of 82 (512 x 384, `benchmarks/before_after.py`). Peak memory grows by 2 per cent. A library
    must not decide that for a process that others own, so only the command line and a fleet's workers do; the
    variables MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ do the same elsewhere, and are respected here.
    """
    if {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys():
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    mallopt(_MMAP_THRESHOLD, _FROM_HEAP)
    mallopt(_TRIM_THRESHOLD, _KEPT)

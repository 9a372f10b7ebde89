"""The pixels of a Pillow image as words, without a copy: it keeps four bytes per pixel of RGB and RGBA.

`Image.tobytes` takes as long as decoding the file. Pillow exports its memory by the Arrow C data interface
(since 11.3); the few fields that lead to it are read here, for a package that reads Arrow is a hundred times
the size of Pansight.

Source: https://arrow.apache.org/docs/format/CDataInterface.html
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import UInt32
from PIL import Image


class _ArrowArray(ctypes.Structure):
    """The structure of that name."""


_ArrowArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]


@contextmanager
def pixel_words(image: Image.Image) -> Iterator[UInt32[np.ndarray, "h w"]]:
    """Each pixel of an RGB or RGBA image as R + 256 G + 65536 B + 2**24 A; A is 0 or 255 where there is none.

    The array is a view of the image's memory, and valid inside the `with` block alone.
    """
    width, height = image.size
    image.load()
    try:
        _, capsule = image.__arrow_c_array__()
    except (AttributeError, ValueError):
        # an older Pillow, or an image so large that it lies in several blocks
        words = image.tobytes("raw", "RGBX" if image.mode == "RGB" else "RGBA")
        yield np.frombuffer(words, dtype="<u4").reshape(height, width)
        return
    array = _ArrowArray.from_address(_pointer(capsule, b"arrow_array"))
    channels = array.children[0].contents  # of a list of four bytes for each pixel
    start = channels.buffers[1] + 4 * (array.offset or 0)
    memory = (ctypes.c_uint8 * (4 * width * height)).from_address(start)
    yield np.ctypeslib.as_array(memory).view("<u4").reshape(height, width)
    del capsule  # which owns the memory


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype = ctypes.c_void_p
_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]

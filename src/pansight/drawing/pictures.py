"""What may be drawn on: RGB images, and nothing that only looks like one."""

import numpy as np
from jaxtyping import Shaped, UInt8

from pansight.errors import InputError


def checked_picture(image: Shaped[np.ndarray, "..."], use: str) -> UInt8[np.ndarray, "h w 3"]:
    """The image itself when it is uint8 [h, w, 3] and has pixels.

    Raises InputError, which says what `use` needs and how to make it, for everything else.
    """
    array = np.asarray(image)
    found = f"{array.dtype} {list(array.shape)}"
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 4)):
        kind = "one with an alpha channel" if array.ndim == 3 and array.shape[2] == 4 else "a gray one"
        raise InputError(f"{use} needs an RGB image, not {kind} ({found}); use PIL's Image.convert('RGB')")
    if array.ndim != 3 or array.shape[2] != 3:
        raise InputError(f"{use} needs an RGB image [height, width, 3], not {found}; reorder or drop axes")
    if array.dtype != np.uint8:
        raise InputError(f"{use} needs bytes 0..255 (uint8), not {found}; scale and convert the image")
    if array.size == 0:
        raise InputError(f"{use} needs an image with pixels, not {found}")
    return array

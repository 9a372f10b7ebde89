"""The COCO panoptic image code: a segment id is R + 256 G + 65536 B, and 0 is void.

Source: https://cocodataset.org/#format-data, section 4 (panoptic segmentation).
"""

import numpy as np
from jaxtyping import Int32, Integer, Shaped, UInt8

from pansight.errors import InputError

ID_LIMIT = 1 << 24
"""Ids are below this: three bytes hold them."""


def ids_to_rgb(ids: Integer[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Write segment ids, 0 <= id < 2**24, as an RGB image.

    Raises InputError when an id does not fit in three bytes.

        >>> import numpy as np
        >>> ids_to_rgb(np.array([[1, 258]]))[0].tolist()
        [[1, 0, 0], [2, 1, 0]]
    """
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= ID_LIMIT):
        raise InputError(
            f"segment ids {int(ids.min())}..{int(ids.max())} do not fit in an RGB image; "
            f"renumber them into 0..{ID_LIMIT - 1}"
        )
    # Little-endian bytes of the id are R, G, B, 0 in this order.
    quads = np.ascontiguousarray(ids, dtype="<u4").view(np.uint8).reshape(*ids.shape, 4)
    return np.ascontiguousarray(quads[..., :3])


def rgb_to_ids(rgb: Shaped[np.ndarray, "..."]) -> Int32[np.ndarray, "h w"]:
    """Read segment ids, 0 <= id < 2**24, from an image, uint8 [h, w, 3 or 4]; alpha is ignored.

    Raises InputError for anything else: a palette, gray or 16-bit image holds no ids.

        >>> import numpy as np
        >>> rgb_to_ids(np.array([[[2, 1, 0]]], np.uint8)).tolist()
        [[258]]
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] not in (3, 4):
        raise InputError(
            f"a panoptic image must be uint8 [h, w, 3 or 4], not {rgb.dtype} {list(rgb.shape)}; "
            "save it as an 8-bit RGB PNG"
        )
    if rgb.size == 0:
        return np.zeros(rgb.shape[:2], np.int32)
    quads = np.zeros((*rgb.shape[:2], 4), np.uint8)
    quads[..., :3] = rgb[..., :3]
    return quads.view("<i4")[..., 0].astype(np.int32, copy=False)

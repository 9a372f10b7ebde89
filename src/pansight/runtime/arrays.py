"""Pixels that are already in memory, numpy or torch, as 8-bit RGB; whatever is ambiguous is refused."""

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from PIL import Image
from torch import Tensor

from pansight.errors import InputError
from pansight.formats.images import bytes_from_words, on_white

_OVERSHOOT = 1e-3
"""How far rounding may carry pixels of the scale 0..1 outside of it."""


def rgb_from_array(array: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "h w 3"]:
    """RGB from [h, w], [h, w, 1] (gray), [h, w, 3] (RGB) or [h, w, 4] (RGBA, laid on white).

    uint8 counts 0..255, uint16 0..65535, floats 0..1. The result may share memory with `array`.
    Raises InputError for other shapes, types and ranges, and for NaN.
    """
    shape = list(array.shape)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        hint = "give [h, w, 3]"
        if array.ndim == 4:
            hint = "give the images one by one, as a list"
        elif array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "it looks like channels first: use array.transpose(1, 2, 0)"
        raise InputError(f"an array of shape {shape} is not an image; {hint}")
    if array.size == 0:
        raise InputError(f"an array of shape {shape} has no pixels; give at least 1 x 1")
    pixels = _bytes(array)
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4:
        return np.asarray(on_white(Image.fromarray(pixels, "RGBA")))
    return pixels


def rgb_from_tensor(tensor: Shaped[Tensor, "..."]) -> UInt8[np.ndarray, "h w 3"]:
    """RGB from a tensor [h, w] or [1, h, w] (gray), [3, h, w] (RGB) or [4, h, w] (RGBA, laid on white).

    The scales are those of `rgb_from_array`; any device. Raises InputError as it does.
    """
    shape = list(tensor.shape)
    if tensor.ndim == 2:
        tensor = tensor[None]
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        hint = "give [3, h, w]"
        if tensor.ndim == 4:
            hint = "give the images one by one, as a list"
        elif tensor.ndim == 3 and tensor.shape[2] in (1, 3, 4):
            hint = "it looks like channels last: use tensor.permute(2, 0, 1)"
        raise InputError(f"a tensor of shape {shape} is not an image; {hint}")
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # numpy has no such type
        tensor = tensor.float()
    return np.ascontiguousarray(rgb_from_array(tensor.permute(1, 2, 0).numpy()))


def _bytes(array: Shaped[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w c"]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return bytes_from_words(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"pixels of type {array.dtype} have no known scale; give uint8 (0..255), uint16 (0..65535) "
            "or floats (0..1)"
        )
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError("the image has pixels that are NaN or infinite; replace them")
    if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
        raise InputError(
            f"float pixels must be 0..1, these are {low:g}..{high:g}; undo their normalisation, "
            "or divide by 255 if that is their scale"
        )
    scaled: np.ndarray = np.clip(array, 0, 1).astype(np.float32) * 255 + 0.5
    return scaled.astype(np.uint8)

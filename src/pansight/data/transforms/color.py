"""Colour jitter of SSD (Liu et al., ECCV 2016), as detectron2 applies it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pansight.data.transforms.picture import Labelled

Table = UInt8[np.ndarray, "256"]
_LEVELS = np.arange(256)


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, contrast, saturation and hue, each changed with probability 1/2; contrast first or last.

    `brightness` is added (grey levels, up or down); `contrast` and `saturation` are ranges of factors; `hue`
    is turned by a whole number of steps of 2 degrees, at most `hue` either way. Values are cut to 0..255 and
    rounded down after every step. Hue and saturation are Pillow's, in 256 steps.
    """

    brightness: float = 32.0
    contrast: tuple[float, float] = (0.5, 1.5)
    saturation: tuple[float, float] = (0.5, 1.5)
    hue: int = 18

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        # All draws are made whether used or not, so that one choice does not shift the others.
        wanted = generator.random(5) < 0.5
        beta = generator.uniform(-self.brightness, self.brightness)
        contrast = generator.uniform(*self.contrast)
        saturation = generator.uniform(*self.saturation)
        turn = int(generator.integers(-self.hue, self.hue + 1))
        bright, contrasted, saturated, turned, contrast_first = wanted.tolist()
        first = second = _LEVELS.astype(np.uint8)
        if bright:
            first = _linear(1.0, beta)[first]
        if contrasted and contrast_first:
            first = _linear(contrast, 0.0)[first]
        elif contrasted:
            second = _linear(contrast, 0.0)
        image = first[labelled.image]
        if saturated or turned:
            image = _recolor(image, saturation if saturated else 1.0, turn if turned else 0)
        return labelled._replace(image=second[image])


def _linear(alpha: float, beta: float) -> Table:
    table: Table = np.clip(_LEVELS * alpha + beta, 0, 255).astype(np.uint8)
    return table


def _recolor(image: UInt8[np.ndarray, "h w 3"], saturation: float, turn: int) -> UInt8[np.ndarray, "h w 3"]:
    """Saturation times a factor, hue by `turn` steps of 2 degrees."""
    hues = (_LEVELS + round(turn * 256 / 180)) % 256
    tables = np.concatenate([hues, _linear(saturation, 0.0), _LEVELS])
    hsv = Image.fromarray(np.ascontiguousarray(image)).convert("HSV").point(tables.tolist())
    return np.asarray(hsv.convert("RGB"))

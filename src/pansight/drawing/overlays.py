"""The overlay: an image with every segment in its colour, outlined and named."""

import numpy as np
from jaxtyping import Shaped, UInt8

from pansight.drawing.labels import draw_labels, place_labels
from pansight.drawing.names import short_names
from pansight.drawing.painting import blend, draw_boundaries, segment_rows
from pansight.drawing.pictures import checked_picture
from pansight.drawing.shades import lightened, segment_colors
from pansight.errors import InputError
from pansight.panoptic import PanopticMap

_LINE = 540
"""Shorter side, in pixels, for each pixel of the width of boundary lines."""


def overlay(
    image: Shaped[np.ndarray, "..."],
    panoptic: PanopticMap,
    *,
    alpha: float = 0.55,
    boundaries: bool = True,
    labels: bool = True,
    scores: bool = False,
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of the image with every segment in its colour, outlined and named.

    `image` is RGB, uint8 [h, w, 3], of the map's size. `alpha` (0..1) is the weight of the colours, the
    image gets the rest; void pixels are darkened. Stuff has its category's colour, a thing a shade of it
    that depends on its id alone. `labels` writes the names of segments that are large enough for them,
    `scores` adds the confidence in per cent where there is one. Raises InputError, in one line, when the
    image is not RGB bytes, does not have the map's size, or `alpha` is out of range.

        >>> from pansight.scenes import render_scene
        >>> sample = render_scene(3, 0, 64, 96)
        >>> overlay(sample.image, sample.panoptic).shape
        (64, 96, 3)
    """
    picture = checked_picture(image, "overlay")
    if picture.shape[:2] != (panoptic.height, panoptic.width):
        raise InputError(
            f"the image is {picture.shape[1]}x{picture.shape[0]} pixels, its map "
            f"{panoptic.width}x{panoptic.height}; resize one of them"
        )
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha is {alpha}; use 0 (image only) to 1 (colours only)")
    rows, colors = segment_rows(panoptic), segment_colors(panoptic)
    result = blend(picture, rows, colors, alpha)
    if boundaries:
        draw_boundaries(result, rows, lightened(colors, 0.6), max(round(min(rows.shape) / _LINE), 1))
    if labels:
        areas = np.array([segment.area for segment in panoptic.segments], dtype=np.int64)
        draw_labels(result, place_labels(rows, _texts(panoptic, scores), areas), colors)
    return result


def _texts(panoptic: PanopticMap, scores: bool) -> list[str]:
    names = short_names(panoptic.categories)
    return [
        f"{names[s.category]} {s.score:.0%}" if scores and s.score is not None else names[s.category]
        for s in panoptic.segments
    ]

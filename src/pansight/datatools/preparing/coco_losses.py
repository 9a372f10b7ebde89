"""Problems of single objects of COCO instances: no pixels, outside the image, fractional coordinates."""

from typing import Any

import numpy as np
from jaxtyping import Bool

from pansight.datatools.preparing.layers import Layer
from pansight.formats.annotation.losses import (
    HIDDEN,
    NO_MASK,
    NO_PIXELS,
    OUTSIDE,
    SHRUNK,
    STRAY,
    Lost,
)
from pansight.formats.coco_masks import is_stray, polygons_area
from pansight.panoptic import PanopticMap

CVAT_MASKS = (
    "every object with run lengths is a crowd (iscrowd 1), and no other is: CVAT marks masks drawn with the "
    "brush so; if they are single objects, --no-crowds takes them for that"
)
"""What is said of files whose `iscrowd` means "has run lengths"."""

_TELLING = 16
"""Pixels of an area that are enough for a comparison."""


def find_losses(
    row: dict[str, Any], segmentation: Any, mask: Bool[np.ndarray, "h w"], name: str
) -> list[Lost]:
    """The problems of one object by itself."""
    found = []
    pixels = int(np.count_nonzero(mask))
    parts = segmentation if isinstance(segmentation, list) else []
    if any(is_stray(part) for part in parts) and pixels:
        found.append(Lost(STRAY, name))
    drawn = polygons_area(segmentation)
    listed = row.get("area")
    if not pixels:
        found.append(Lost(NO_MASK if segmentation == [] else NO_PIXELS, name))
    elif drawn > _TELLING and pixels < 0.5 * drawn and _reaches_out(parts, *mask.shape):
        found.append(Lost(OUTSIDE, f"{name}, {1 - pixels / drawn:.0%} of it"))
    elif isinstance(listed, int | float) and listed > _TELLING and pixels < 0.1 * listed:
        found.append(Lost(SHRUNK, f"{name}, {pixels} for {listed:g} pixels"))
    return found


def _reaches_out(parts: list[Any], height: int, width: int) -> bool:
    for part in parts:
        if not is_stray(part):
            x, y = np.asarray(part, np.float64).reshape(-1, 2).T
            if min(x.min(), y.min()) < 0 or x.max() > width or y.max() > height:
                return True
    return False


def find_hidden(layers: list[tuple[Layer, str]], painted: PanopticMap) -> list[Lost]:
    """The objects that have pixels of their own, none of them visible."""
    if not layers:
        return []
    # What is seen: drawn once more, each layer with its own number.
    seen = np.zeros((painted.height, painted.width), dtype=np.int32)
    for number, (layer, _) in enumerate(layers, start=1):
        seen[layer.mask] = number
    left = set(np.unique(seen).tolist())
    return [
        Lost(HIDDEN, name)
        for number, (layer, name) in enumerate(layers, start=1)
        if number not in left and layer.category is not None and layer.key[0] == "thing" and layer.mask.any()  # type: ignore[index]
    ]


def is_normalised(rows: list[Any]) -> bool:
    """Whether polygons, and there are some, have coordinates of 0..1 alone."""
    parts = [
        part
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("segmentation"), list)
        for part in row["segmentation"]
        if isinstance(part, list) and len(part) >= 6 and all(isinstance(one, int | float) for one in part)
    ]
    return bool(parts) and all(min(part) >= -0.1 and max(part) <= 1.1 for part in parts)


def marks_masks(rows: list[Any]) -> bool:
    """Whether `iscrowd` says of every object just whether it has run lengths, as in the files of CVAT.

    Those hold the lengths as lists, and `occluded` among the attributes. Where all objects are crowds, that
    is said elsewhere.
    """
    kinds = set()
    for row in rows:
        if not isinstance(row, dict):
            return False
        segmentation = row.get("segmentation")
        if isinstance(segmentation, dict):
            attributes = row.get("attributes")
            own = isinstance(attributes, dict) and "occluded" in attributes
            if (
                not own
                or not isinstance(segmentation.get("counts"), list)
                or row.get("iscrowd") not in (1, "1")
            ):
                return False
            kinds.add("mask")
        elif row.get("iscrowd") not in (None, 0, "0"):
            return False
        else:
            kinds.add("other")
    return kinds == {"mask", "other"}

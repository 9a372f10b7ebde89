"""Pansight: real-time panoptic segmentation.

    import pansight
    panoptic = pansight.load("yoso-tiny")("street.jpg")
    panoptic.segments

Names are imported when they are first used, so `import pansight` itself costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pansight.version import __version__

if TYPE_CHECKING:
    from pansight import drawing as draw
    from pansight.categories import Categories, Category
    from pansight.errors import PansightError
    from pansight.panoptic import PanopticBatch, PanopticMap, Segment, merge_masks
    from pansight.runtime.segmenter import Segmenter, load
    from pansight.video.tracking import Tracker, TrackSettings
    from pansight.video.writer import VideoWriter

_HOMES = {
    "Categories": "pansight.categories",
    "Category": "pansight.categories",
    "PanopticBatch": "pansight.panoptic",
    "PanopticMap": "pansight.panoptic",
    "PansightError": "pansight.errors",
    "Segment": "pansight.panoptic",
    "Segmenter": "pansight.runtime.segmenter",
    "Tracker": "pansight.video.tracking",
    "TrackSettings": "pansight.video.tracking",
    "VideoWriter": "pansight.video.writer",
    "load": "pansight.runtime.segmenter",
    "merge_masks": "pansight.panoptic",
}

_MODULES = {"draw": "pansight.drawing"}
"""Modules by their public names, `pansight.NAME`."""

__all__ = [
    "Categories",
    "Category",
    "PanopticBatch",
    "PanopticMap",
    "PansightError",
    "Segment",
    "Segmenter",
    "TrackSettings",
    "Tracker",
    "VideoWriter",
    "__version__",
    "draw",
    "load",
    "merge_masks",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name not in _HOMES:
        raise AttributeError(f"module 'pansight' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

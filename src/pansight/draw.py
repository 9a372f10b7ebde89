"""Pictures of panoptic maps: overlays, legends, and several pictures side by side."""

import numpy as np
from jaxtyping import Shaped, UInt8

from pansight.drawing.labels import draw_labels, place_labels
from pansight.drawing.painting import blend, draw_boundaries, segment_rows
from pansight.drawing.shades import lightened, segment_colors
from pansight.drawing.names import short_names
from pansight.errors import InputError
from pansight.panoptic import PanopticMap, Segment

__all__ = ["overlay"]

def overlay(
    image: Shaped[np.ndarray, "..."],
    panoptic: PanopticMap,
    *,
    alpha: float = 0.55,
    boundaries: bool = True,
    labels: bool = True,
    scores: bool = False,
) -> UInt8[np.ndarray, "h w 3"]:
    rows = segment_rows(panoptic)
    colors = segment_colors(panoptic)
    result = blend(image, rows, colors, alpha)
    if boundaries:
        draw_boundaries(result, rows, lightened(colors, 0.6), max(1, round(min(rows.shape) / 540)))
    if labels:
        texts = [_label_text(panoptic, segment, scores) for segment in panoptic.segments]
        areas = np.array([segment.area for segment in panoptic.segments], dtype=np.int64)
        draw_labels(result, place_labels(rows, texts, areas), colors)
    return result

def _label_text(panoptic: PanopticMap, segment: Segment, scores: bool) -> str:
    name = short_names(panoptic.categories)[segment.category]
    return f"{name} {segment.score:.0%}" if scores and segment.score is not None else name

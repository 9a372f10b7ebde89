"""Any overlapping masks to one exclusive map: what "segment everything" models, instances and tools give."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int32

from pansight.errors import InputError
from pansight.panoptic.ids import ID_LIMIT


def merge_masks(
    masks: Bool[np.ndarray, "n h w"] | Sequence[Bool[np.ndarray, "h w"]],
    scores: Sequence[float] | Float[np.ndarray, "n"] | None = None,
    *,
    below: Sequence[bool] | None = None,
    max_occlusion: float = 1.0,
    min_area: int = 1,
) -> Int32[np.ndarray, "h w"]:
    """One id per pixel: 1 + the position of the mask that is visible there, 0 where none is.

    A mask with a higher score hides one with a lower; without scores, and among equals, the smaller one hides
    the larger, which would otherwise cover it. Masks marked in `below` (stuff, crowds) lie under all others.
    A mask of which more than `max_occlusion` is hidden, or fewer than `min_area` pixels are left, is dropped,
    and what it hid becomes visible again.

        >>> whole, part = np.ones((2, 3), bool), np.array([[1, 0, 0], [0, 0, 0]], bool)
        >>> merge_masks([whole, part]).tolist()
        [[2, 1, 1], [1, 1, 1]]

    Raises InputError for masks of different sizes, or not one score per mask.
    """
    arrays = [np.asarray(mask) for mask in masks]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1 or any(array.ndim != 2 for array in arrays):
        raise InputError(f"masks must be [h, w] of one size, not {', '.join(map(str, sorted(shapes)))}")
    if not arrays and isinstance(masks, np.ndarray) and masks.ndim == 3:
        return np.zeros(masks.shape[1:], np.int32)
    if not arrays:
        raise InputError("no masks to merge, and no size; make a void map with PanopticMap.from_table")
    count = len(arrays)
    if (scores is not None and len(scores) != count) or (below is not None and len(below) != count):
        raise InputError(f"{count} masks need {count} scores and {count} flags; give one of each")
    if scores is not None and not all(_is_number(score) for score in scores):
        raise InputError("scores of masks must be numbers; leave them out where there are none")
    if not 0 <= max_occlusion <= 1 or min_area < 0:
        raise InputError(f"max_occlusion {max_occlusion} must be 0 to 1, and min_area {min_area} 0 or more")
    if count >= ID_LIMIT:
        raise InputError(f"{count} masks are too many for a map; drop the smallest")
    flat = [array.astype(np.bool_, copy=False) for array in arrays]
    areas = [int(np.count_nonzero(mask)) for mask in flat]

    def rank(number: int) -> tuple[bool, float, int, int]:
        score = 0.0 if scores is None else float(scores[number])
        return below is not None and bool(below[number]), -score, areas[number], number

    ids: Int32[np.ndarray, "h w"] = np.zeros(flat[0].shape, np.int32)
    for number in sorted(range(count), key=rank):
        free = flat[number] & (ids == 0)
        left = int(np.count_nonzero(free))
        if left < max(min_area, 1) or areas[number] - left > max_occlusion * areas[number]:
            continue
        ids[free] = number + 1
    return ids


def _is_number(score: object) -> bool:
    return isinstance(score, int | float | np.number) and not np.isnan(score)

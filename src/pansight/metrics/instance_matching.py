"""Which true object each of several overlapping detections finds, by COCO's rules.

pycocotools, `COCOeval.evaluateImg`: by falling score, each detection takes the free object that it overlaps
most; only where none that counts is left, one that does not count, which excuses it. Crowds excuse many.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pansight.metrics.matched import MatchedImage
from pansight.panoptic.instances import Instances


def shared_pixels(
    image: MatchedImage, instances: Instances
) -> tuple[Int64[np.ndarray, "d n"], Int64[np.ndarray, "d"]]:
    """Pixels that each instance has in common with each true segment, and those that it has in all."""
    count = len(image.truth.ids)
    # 0: no listed segment; the last id is the largest
    rows = np.zeros(int(image.overlaps.truth_ids[-1]) + 1 if len(image.overlaps.truth_ids) else 1, np.int64)
    present = np.isin(image.truth.ids, image.overlaps.truth_ids)
    rows[image.truth.ids[present]] = np.flatnonzero(present) + 1
    shared = np.zeros((len(instances), count + 1), dtype=np.int64)
    for index, (x1, y1, x2, y2) in enumerate(instances.boxes.astype(np.int64).tolist()):
        ids = image.truth_ids[y1:y2, x1:x2][instances.masks[index, y1:y2, x1:x2]]
        shared[index] = np.bincount(rows[ids], minlength=count + 1)
    return shared[:, 1:], shared.sum(axis=1)


def match_instances(
    ious: Float64[np.ndarray, "d g"],
    crowd: Bool[np.ndarray, "g"],
    aside: Bool[np.ndarray, "r g"],
    thresholds: Float64[np.ndarray, "t"],
) -> tuple[Bool[np.ndarray, "d r t"], Bool[np.ndarray, "d r t"]]:
    """Match the detections of one class in one image, best first, at r ways of counting and t thresholds.

    `ious` with a crowd are the share of the detection inside it. `aside`: objects that do not count (crowds
    always, others by their size). Returns which detections find an object that counts, and which one that
    does not.
    """
    detections, objects = ious.shape
    found = np.zeros((detections, len(aside), len(thresholds)), dtype=np.bool_)
    excused = np.zeros_like(found)
    # of equal overlaps the object listed last wins, and argmax takes the first
    ious, crowd, aside = ious[:, ::-1], crowd[::-1], aside[:, ::-1]
    free = np.ones((len(aside), len(thresholds), objects), dtype=np.bool_)
    for index in np.flatnonzero((ious >= thresholds.min()).any(axis=1)).tolist():
        fit = free & (ious[index] >= thresholds[:, None])
        counting = fit & ~aside[:, None]
        found[index] = counting.any(axis=2)
        excused[index] = fit.any(axis=2) & ~found[index]
        choice = np.where(np.where(found[index][..., None], counting, fit), ious[index], -1.0).argmax(axis=2)
        ranges, levels = np.nonzero(found[index] | excused[index])
        taken = choice[ranges, levels]
        free[ranges, levels, taken] = crowd[taken]
    return found, excused

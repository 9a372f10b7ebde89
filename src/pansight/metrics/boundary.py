"""Boundary panoptic quality: PQ that large segments cannot win with a smooth inside.

Cheng et al., Boundary IoU (CVPR 2021): the boundary of a segment are its pixels that lie at most d from its
outside, and Boundary PQ replaces the IoU of a pair by min(IoU, IoU of the two boundaries), where pairs are
matched and where IoUs are summed. The rest is as in PQ, in particular what is excused.

Distances are those of d erosions by a 3 x 3 square (Chebyshev), with nothing but outside beyond the image;
d is 2 % of the diagonal, rounded, at least 1: as in the authors' code. That code marks the insides by an id
that a segment may have too; here they cannot be confused.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int32, Integer

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.metrics.counts import Counts
from pansight.metrics.matched import MatchedImage, find_pairs, predicted_areas
from pansight.metrics.matching import areas_of, match_segments, rows_of
from pansight.metrics.overlaps import count_overlaps
from pansight.metrics.results import PanopticQualityResult
from pansight.panoptic.ids import ID_LIMIT

DILATION_RATIO = 0.02
"""Width of a boundary, as a fraction of the image's diagonal."""


def boundary_width(height: int, width: int, ratio: float = DILATION_RATIO) -> int:
    """d, in pixels, of an image of this size."""
    return max(1, round(ratio * float(np.hypot(height, width))))


def find_boundaries(ids: Integer[np.ndarray, "h w"], distance: int) -> Bool[np.ndarray, "h w"]:
    """True where another id, or the outside of the map, is at most `distance` >= 1 (Chebyshev) away.

    All segments at once. The square around a pixel holds one id only if each row of it does and its middle
    column does; so changes along rows are spread both ways, changes along columns up and down only.
    """
    height, width = ids.shape
    found = np.zeros((height, width), dtype=np.bool_)
    if not ids.size:
        return found
    found[:, [0, -1]] = True
    changes = ids[:, 1:] != ids[:, :-1]
    found[:, 1:] |= changes
    found[:, :-1] |= changes
    found = _spread(_spread(found, distance - 1, axis=1), 1, axis=0)
    found[[0, -1]] = True
    changes = ids[1:] != ids[:-1]
    found[1:] |= changes
    found[:-1] |= changes
    return _spread(found, distance - 1, axis=0)


def _spread(marks: Bool[np.ndarray, "h w"], reach: int, axis: int) -> Bool[np.ndarray, "h w"]:
    """Mark everything within `reach` of a mark along an axis, doubling the width covered with every step."""
    if reach == 0:
        return marks
    before = [(0, 0), (0, 0)]
    before[axis] = (reach, reach)
    spread = np.pad(marks, before)
    if axis == 1:
        spread = spread.T
    covered = 1
    while covered < 2 * reach + 1:
        step = min(covered, 2 * reach + 1 - covered)
        # Out of place: each mark is seen once, and the array gets shorter by what it cannot cover.
        spread = spread[:-step] | spread[step:]
        covered += step
    return spread.T if axis == 1 else spread


class BoundaryQuality:
    """Accumulates matches by boundary; additive and exact.

    `ratio`: the width of a boundary as a fraction of the diagonal. Raises InputError when it is not positive.
    """

    def __init__(self, categories: Categories, ratio: float = DILATION_RATIO) -> None:
        if not ratio > 0:
            raise InputError(f"a boundary of {ratio:g} of the diagonal has no width; give a ratio above 0")
        self.categories = categories
        self.ratio = ratio
        self._counts = Counts(len(categories))

    def add(self, image: MatchedImage) -> None:
        """Count the segments of one image."""
        matches = image.matches
        ious = np.minimum(matches.ious, boundary_ious(image, self.ratio))
        kept = ious > 0.5
        rows, columns = matches.truth_rows[kept], matches.prediction_rows[kept]
        missed = ~image.truth.crowd & (image.truth.categories >= 0)
        missed[rows] = False
        false = _unless_excused(image)
        false[columns] = False
        self._counts.add(
            image.truth.categories[rows],
            ious[kept],
            image.truth.categories[missed],
            image.prediction.categories[false],
        )

    def merge(self, other: "BoundaryQuality") -> None:
        """Add what another has counted."""
        self._counts.merge(other._counts)

    def compute(self, images: int) -> PanopticQualityResult:
        """Boundary PQ of all segments in the `images` seen so far."""
        return self._counts.quality(self.categories, images)


def boundary_ious(image: MatchedImage, ratio: float = DILATION_RATIO) -> Float64[np.ndarray, "pairs"]:
    """IoU of the boundaries of each matched pair; as in PQ, void pixels of the prediction do not count."""
    distance = boundary_width(image.truth_ids.shape[0], image.truth_ids.shape[1], ratio)
    inside = _unused_id(image)
    edge = find_boundaries(image.truth_ids, distance)
    stray = image.overlaps.truth_ids[rows_of(image.truth.ids, image.overlaps.truth_ids) < 0]
    # Void has no inside. (In exact mode unlisted ids other than 0 are nothing, and may stay as well.)
    if stray.any():
        edge |= np.isin(image.truth_ids, stray)
    elif len(stray):
        edge |= image.truth_ids == 0
    truth = _without_inside(image.truth_ids, edge, inside)
    edge = find_boundaries(image.prediction_ids, distance)
    prediction = _without_inside(image.prediction_ids, edge, inside)
    table = count_overlaps(truth, prediction)

    t = rows_of(image.truth.ids, table.truth_ids)[table.truth_index]
    p = rows_of(image.prediction.ids, table.prediction_ids)[table.prediction_index]
    void = table.truth_ids[table.truth_index] == 0 if image.exact else t < 0
    void &= (table.truth_ids[table.truth_index] != inside) & (p >= 0)
    areas = predicted_areas(image.prediction, table)
    np.subtract.at(areas, p[void], table.pixels[void])
    position = find_pairs(image, t, p)
    shared = np.append(table.pixels, 0)[position]
    rows, columns = image.matches.truth_rows, image.matches.prediction_rows
    with np.errstate(divide="ignore"):
        ious: Float64[np.ndarray, "pairs"] = shared / (
            areas[columns] + areas_of(image.truth, table)[rows] - shared
        )
    return ious


def _without_inside(
    ids: Integer[np.ndarray, "h w"], edge: Bool[np.ndarray, "h w"], inside: int
) -> Int32[np.ndarray, "h w"]:
    return np.where(edge, ids.astype(np.int32, copy=False), np.int32(inside))


def _unless_excused(image: MatchedImage) -> Bool[np.ndarray, "m"]:
    """True for each prediction that is a false positive if nothing matches it."""
    # Nothing can match when all that could be matched has no category; void and crowds excuse as before.
    truth = image.truth
    nobody = truth._replace(categories=np.where(truth.crowd, truth.categories, -1))
    return match_segments(image.overlaps, nobody, image.prediction, exact=image.exact).false


def _unused_id(image: MatchedImage) -> int:
    """An id that occurs in neither map and in neither list."""
    used = np.unique(
        np.concatenate(
            (
                image.overlaps.truth_ids,
                image.overlaps.prediction_ids,
                image.truth.ids,
                image.prediction.ids,
            )
        )
    )
    if used[-1] < ID_LIMIT - 1:
        return ID_LIMIT - 1
    used = used[used >= 0]
    return int(np.flatnonzero(used != np.arange(len(used)))[0])

"""What went wrong in one image: every pixel told, every segment counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from pansight.categories import Categories
from pansight.metrics.losses import find_causes
from pansight.metrics.matched import MatchedImage, match_maps
from pansight.metrics.remarks import Remarks
from pansight.panoptic import PanopticMap
from pansight.reporting.causes import CAUSES

_RAGGED = next(number for number, cause in enumerate(CAUSES) if cause.key == "ragged")


@dataclass(frozen=True)
class Mistakes:
    """The mistakes of one image.

    `picture`: gray, RGB, with the colour of the cause (`CAUSES`) wherever truth and prediction differ.
    `missed`, `false`: names of the categories of such segments with their number, the most frequent first.
    """

    picture: UInt8[np.ndarray, "h w 3"]
    missed: tuple[tuple[str, int], ...]
    false: tuple[tuple[str, int], ...]


def find_mistakes(
    image: UInt8[np.ndarray, "h w 3"] | None, prediction: PanopticMap, truth: PanopticMap
) -> Mistakes:
    """Hold two maps, of one size and one set of categories, against each other; `image` is RGB of that size.

    Without an image the ground is plain. Void and crowd regions of the truth count for nothing, as in the
    metric. Raises InputError when the maps differ in size, CategoryError when they do in categories.
    """
    matched = match_maps(prediction, truth, truth.categories, "this image", False, Remarks())
    kinds = _kinds(matched, prediction, truth)
    palette = np.array([(0, 0, 0), *(cause.color for cause in CAUSES)], dtype=np.uint8)
    picture = _ground(image, truth)
    where = kinds >= 0
    picture[where] = picture[where] // 3 + palette[kinds[where] + 1] // 3 * 2
    return Mistakes(
        picture,
        _counted(matched.missed_classes, truth.categories),
        _counted(matched.false_classes, truth.categories),
    )


def _kinds(matched: MatchedImage, prediction: PanopticMap, truth: PanopticMap) -> Int32[np.ndarray, "h w"]:
    """The cause, a position in `CAUSES`, of the loss at each pixel; -1 where nothing is lost."""
    causes = find_causes(matched)
    matches = matched.matches
    # One number per segment: 1 + cause where it is missed or false, else 0.
    of_truth, of_prediction = np.zeros(len(truth.segments), int), np.zeros(len(prediction.segments), int)
    of_truth[matched.missed_rows] = 1 + causes.missed
    of_prediction[matched.false_rows] = 1 + causes.false
    lost, invented = truth.paint(of_truth.tolist()), prediction.paint(of_prediction.tolist())

    partner, hits = np.zeros(len(truth.segments), int), np.zeros(len(prediction.segments), int)
    partner[matches.truth_rows] = matched.prediction.ids[matches.prediction_rows]
    hits[matches.prediction_rows] = 1
    wanted = truth.paint(partner.tolist())
    evaluable = truth.paint((~matched.truth.crowd).astype(int).tolist()) > 0
    beyond = (wanted > 0) | ((prediction.paint(hits.tolist()) > 0) & evaluable)
    beyond &= ~((wanted == prediction.ids) & (wanted > 0))

    # A missed segment says more of its pixels than what was predicted there instead.
    kinds = np.where(lost > 0, lost, np.where(invented > 0, invented, np.where(beyond, 1 + _RAGGED, 0)))
    return kinds.astype(np.int32) - 1


def _ground(image: UInt8[np.ndarray, "h w 3"] | None, truth: PanopticMap) -> UInt8[np.ndarray, "h w 3"]:
    if image is None:
        return np.full((truth.height, truth.width, 3), 120, dtype=np.uint8)
    gray = (image @ np.array([0.299, 0.587, 0.114])) * 0.7 + 20
    return np.repeat(gray.astype(np.uint8)[:, :, None], 3, axis=2)


def _counted(categories: Int64[np.ndarray, "n"], names: Categories) -> tuple[tuple[str, int], ...]:
    return tuple((names[index].name, count) for index, count in Counter(categories.tolist()).most_common())


def listed(counts: Sequence[tuple[str, int]], most: int = 5) -> str:
    """ "3 car, person" for people; what exceeds `most` kinds is counted."""
    words = [name if count == 1 else f"{count} {name}" for name, count in counts[:most]]
    rest = sum(count for _, count in counts[most:])
    return ", ".join(words) + (f" and {rest} more" if rest else "")

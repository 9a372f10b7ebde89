"""Boundary PQ against a literal transcription of the published procedure, mask by mask."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.metrics.boundary import BoundaryQuality, boundary_width, find_boundaries
from pansight.metrics.matched import match_coco, match_maps
from pansight.metrics.remarks import Remarks
from pansight.panoptic import PanopticMap
from pansight.panoptic.ids import ID_LIMIT

MakePair = Callable[..., tuple[PanopticMap, PanopticMap]]
Tally = dict[int, list[float]]


def eroded_boundary(mask: np.ndarray, distance: int) -> np.ndarray:
    """What `distance` erosions by a 3 x 3 square take away, the mask standing on a frame of zeros."""
    inside = ndimage.binary_erosion(np.pad(mask, 1), np.ones((3, 3)), iterations=distance)
    boundary: np.ndarray = mask & ~inside[1:-1, 1:-1]
    return boundary


@settings(max_examples=100)
@given(
    ids=arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 2)),
    scale=st.integers(1, 4),
    distance=st.integers(1, 9),
)
def test_boundaries_are_what_erosion_takes(ids: np.ndarray, scale: int, distance: int) -> None:
    ids = np.kron(ids, np.ones((scale, scale), np.int32))
    found = find_boundaries(ids, distance)
    for id in np.unique(ids):
        mask = ids == id
        assert np.array_equal(found & mask, eroded_boundary(mask, distance)), id


def test_width_is_two_percent_of_the_diagonal() -> None:
    assert boundary_width(480, 640) == 16
    assert boundary_width(1024, 2048) == 46
    assert boundary_width(10, 10) == 1
    assert find_boundaries(np.zeros((0, 4), np.int32), 3).shape == (0, 4)
    with pytest.raises(InputError, match="no width"):
        BoundaryQuality(Categories([]), ratio=0.0)


def literal(prediction: PanopticMap, truth: PanopticMap, ratio: float) -> Tally:
    """tp, fp, fn and the sum of min(IoU, boundary IoU) by class, one mask at a time."""
    distance = max(1, round(ratio * float(np.sqrt(truth.height**2 + truth.width**2))))
    tally: Tally = {category: [0, 0, 0, 0.0] for category in range(len(truth.categories))}
    void = truth.ids == 0
    true_found, found = set(), set()
    for t in truth.segments:
        for p in prediction.segments:
            if t.is_crowd or t.category != p.category:
                continue
            ious = []
            masks = truth.mask(t.id), prediction.mask(p.id)
            for one, other in (masks, tuple(eroded_boundary(mask, distance) for mask in masks)):
                shared = np.sum(one & other)
                ious.append(shared / (np.sum(one) + np.sum(other) - shared - np.sum(void & other)))
            if min(ious) > 0.5:
                tally[t.category][0] += 1
                tally[t.category][3] += min(ious)
                true_found.add(t.id)
                found.add(p.id)
    for t in truth.segments:
        tally[t.category][2] += t.id not in true_found and not t.is_crowd
    for p in prediction.segments:
        excused = void.copy()
        for t in truth.segments:
            if t.is_crowd and t.category == p.category:
                excused |= truth.mask(t.id)
        ignored = np.sum(excused & prediction.mask(p.id)) / p.area > 0.5
        tally[p.category][1] += p.id not in found and not ignored
    return tally


@settings(max_examples=80)
@given(seed=st.integers(0, 2**32 - 1), ratio=st.sampled_from([0.02, 0.05, 0.1, 0.5]))
def test_literal_transcription(categories: Categories, make_pair: MakePair, seed: int, ratio: float) -> None:
    prediction, truth = make_pair(seed)
    quality = BoundaryQuality(categories, ratio)
    quality.add(match_maps(prediction, truth, categories, "x", False, Remarks()))
    expected = literal(prediction, truth, ratio)
    for index, one in enumerate(quality.compute(1).classes):
        assert [one.tp, one.fp, one.fn] == expected[index][:3]
        assert one.iou == pytest.approx(expected[index][3], abs=1e-12)


def test_a_thin_ring_missed_costs_a_large_object_much(categories: Categories) -> None:
    # 40 x 40 against 34 x 34 within: IoU 0.72; the boundaries (d = 2) share nothing.
    truth = np.zeros((50, 80), np.int32)
    truth[5:45, 5:45] = 1
    prediction = np.zeros_like(truth)
    prediction[8:42, 8:42] = 2
    pair = (
        PanopticMap.from_table(prediction, [(2, 0)], categories),
        PanopticMap.from_table(truth, [(1, 0)], categories),
    )
    quality = BoundaryQuality(categories)
    quality.add(match_maps(*pair, categories, "x", False, Remarks()))
    one = quality.compute(1).classes[0]
    assert (one.tp, one.fp, one.fn) == (0, 1, 1)


def test_no_id_is_taken_for_an_inside(categories: Categories) -> None:
    truth = np.full((40, 60), ID_LIMIT - 1, np.int32)
    truth[:, :30] = 1
    pair = PanopticMap.from_table(truth, [(ID_LIMIT - 1, 0), (1, 1)], categories)
    quality = BoundaryQuality(categories)
    quality.add(match_maps(pair, pair, categories, "x", False, Remarks()))
    assert [(one.tp, one.iou) for one in quality.compute(1).classes[:2]] == [(1, 1.0), (1, 1.0)]


@pytest.mark.parametrize(("exact", "iou"), [(True, 24 / 48), (False, 1.0)])
def test_unlisted_truth_is_void_but_in_exact_mode(categories: Categories, exact: bool, iou: float) -> None:
    # The prediction goes on into an id that the truth does not list; 1 pixel of boundary on each side.
    truth = np.full((4, 24), 9, np.int32)
    truth[:, :12] = 1
    prediction = np.full((4, 24), 2, np.int32)
    image = match_coco(
        prediction,
        [{"id": 2, "category_id": 1}],
        truth,
        [{"id": 1, "category_id": 1, "iscrowd": 0, "area": 48}],
        categories,
        "prediction",
        "truth",
        exact,
        Remarks(),
    )
    quality = BoundaryQuality(categories)
    quality.add(image)
    one = quality.compute(1).classes[0]
    # In exact mode the IoU is 48 / 96, no match. Else the true boundary has 28 pixels, 26 of them shared.
    assert (one.tp, one.fn) == ((0, 1) if iou == 0.5 else (1, 0))
    assert exact or one.iou == pytest.approx(26 / 28, abs=1e-15)

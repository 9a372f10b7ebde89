import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pansight.categories import Categories
from pansight.errors import CategoryError, InputError
from pansight.panoptic import PanopticBatch, PanopticMap, Segment
from pansight.panoptic import batch as module
from pansight.panoptic.checks import checked_ids

CITY = Categories.builtin("cityscapes")
ROAD, SKY, PERSON, CAR = (CITY.index(name) for name in ("road", "sky", "person", "car"))
IDS = np.array([[1, 1, 7, 7], [1, 0, 7, 9], [0, 0, 9, 9]], dtype=np.int32)
TABLE = [(7, CAR, 0.5), (1, ROAD, 0.25), (9, PERSON, None, True)]


def example() -> PanopticMap:
    return PanopticMap.from_table(IDS, TABLE, CITY)


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
    """Ids [h, w] with a row for each id, and sometimes rows for ids that no pixel has."""
    ids = draw(st.lists(st.integers(1, 2**24 - 1), min_size=1, max_size=6, unique=True))
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=10))
    pixels = draw(hnp.arrays(np.int32, shape, elements=st.sampled_from([0, *ids])))
    score = st.none() | st.floats(0, 1)
    return pixels, [(id, draw(st.integers(0, 18)), draw(score), draw(st.booleans())) for id in ids]


@given(labelled())
def test_from_table_measures_what_the_masks_show(drawn: tuple[np.ndarray, list[tuple[Any, ...]]]) -> None:
    pixels, table = drawn
    panoptic = PanopticMap.from_table(pixels, table, CITY)
    assert sum(s.area for s in panoptic.segments) + np.count_nonzero(pixels == 0) == pixels.size
    assert [(s.id, s.category, s.score, s.is_crowd) for s in panoptic.segments] == [
        row for row in table if row[0] in pixels
    ]
    semantic = panoptic.semantic(void=-1)
    for segment, mask in zip(panoptic.segments, panoptic.masks(), strict=True):
        x, y, width, height = segment.box
        inside = mask[y : y + height, x : x + width]
        assert np.count_nonzero(mask) == segment.area == np.count_nonzero(inside)
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
        assert (semantic[mask] == segment.category).all()
        np.testing.assert_array_equal(mask, panoptic.mask(segment.id))
    np.testing.assert_array_equal(semantic == -1, pixels == 0)
    np.testing.assert_array_equal(panoptic.semantic(255), np.where(semantic < 0, 255, semantic))
    assert set(panoptic.things()) | set(panoptic.stuff()) == set(panoptic.segments)
    # The checking constructor agrees with the measuring one.
    assert PanopticMap(panoptic.ids, panoptic.segments, CITY).same_as(panoptic)


@given(labelled(), st.randoms())
def test_renumbering_and_order_do_not_matter(
    drawn: tuple[np.ndarray, list[tuple[Any, ...]]], random: Any
) -> None:
    panoptic = PanopticMap.from_table(*drawn, CITY)
    fresh = panoptic.remapped()
    assert [s.id for s in fresh.segments] == list(range(1, len(panoptic.segments) + 1))
    assert [dataclasses.replace(s, id=0) for s in fresh.segments] == [
        dataclasses.replace(s, id=0) for s in panoptic.segments
    ]
    shuffled = random.sample(fresh.segments, len(fresh.segments))
    other = PanopticMap(fresh.ids, tuple(shuffled), CITY)
    assert other.same_as(panoptic) and panoptic.same_as(other)


def test_same_as_sees_every_difference() -> None:
    base = example()
    moved = IDS.copy()
    moved[2, 0] = 1
    joined = np.where(IDS == 9, 7, IDS)
    relabelled = [(7, CAR), (1, SKY), (9, PERSON, None, True)]
    no_crowd = [row[:2] for row in TABLE]
    for ids, table in (
        (moved, TABLE),
        (joined, TABLE),
        (IDS, relabelled),
        (IDS, no_crowd),
        (IDS[:, :3], TABLE),
    ):
        other = PanopticMap.from_table(ids, table, CITY)
        assert not base.same_as(other) and not other.same_as(base)
    # Two segments here, the same pixels split elsewhere there: the count alone does not tell.
    left = PanopticMap.from_table(np.array([[1, 1, 2]]), [(1, CAR), (2, CAR)], CITY)
    right = PanopticMap.from_table(np.array([[1, 2, 2]]), [(1, CAR), (2, CAR)], CITY)
    assert not left.same_as(right)
    assert base.same_as(example())


def test_views_of_a_known_map() -> None:
    panoptic = example()
    assert panoptic.segments == (
        Segment(7, CAR, 3, (2, 0, 2, 2), 0.5),
        Segment(1, ROAD, 3, (0, 0, 2, 2), 0.25),
        Segment(9, PERSON, 3, (2, 1, 2, 2), None, True),
    )
    assert (panoptic.height, panoptic.width) == (3, 4)
    assert [s.id for s in panoptic.things()] == [7, 9] and [s.id for s in panoptic.stuff()] == [1]
    assert panoptic.segment(9).is_crowd
    assert panoptic.masks([9, 1]).tolist() == [(IDS == 9).tolist(), (IDS == 1).tolist()]
    assert panoptic.masks([]).shape == (0, 3, 4)
    assert panoptic.paint([10, 20, 30]).tolist() == [[20, 20, 10, 10], [20, 0, 10, 30], [0, 0, 30, 30]]
    assert repr(panoptic) == "PanopticMap(4x3, 2 things, 1 stuff, cityscapes)"
    with pytest.raises(InputError, match="no segment 5 in the map; its ids are 7, 1, 9"):
        panoptic.mask(5)


def test_a_map_without_segments() -> None:
    for shape in ((2, 3), (0, 3), (3, 0)):
        panoptic = PanopticMap.from_table(np.zeros(shape, np.uint8), [], CITY)
        assert panoptic.segments == () and panoptic.masks().shape == (0, *shape)
        assert panoptic.semantic().tolist() == np.full(shape, -1).tolist()
        assert panoptic.same_as(panoptic.remapped())


def test_ids_are_read_only_and_not_copied() -> None:
    ids = IDS.copy()
    panoptic = PanopticMap.from_table(ids, TABLE, CITY)
    assert np.shares_memory(panoptic.ids, ids) and ids.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        panoptic.ids[0, 0] = 3
    again = PanopticMap(panoptic.ids, panoptic.segments, CITY)
    assert np.shares_memory(again.ids, ids)
    other = pickle.loads(pickle.dumps(panoptic))
    assert other.same_as(panoptic) and other.segments == panoptic.segments
    for converted in (ids.astype(np.int64), np.asfortranarray(ids), ids.astype(np.uint8)[:, ::-1][:, ::-1]):
        made = PanopticMap.from_table(converted, TABLE, CITY)
        assert made.ids.dtype == np.int32 and made.ids.flags.c_contiguous and made.same_as(panoptic)


def test_pixels_without_a_row() -> None:
    with pytest.raises(InputError, match=r"ids 7, 9 of the map have no segment; list them or set them to 0"):
        PanopticMap.from_table(IDS, [(1, ROAD)], CITY)
    panoptic = PanopticMap.from_table(IDS, [(1, ROAD)], CITY, unlisted="void")
    np.testing.assert_array_equal(panoptic.ids, np.where(IDS == 1, 1, 0))
    assert IDS.max() == 9, "the caller's array was changed"


@pytest.mark.parametrize(
    ("ids", "segments", "error", "message"),
    [
        (IDS - 1, [], InputError, "must be 0..16777215, not -1..8; renumber them"),
        (IDS, [Segment(1, ROAD, 3, (0, 0, 2, 2))], InputError, "ids 7, 9 of the map have no segment"),
        (IDS * 0, [Segment(1, ROAD, 3, (0, 0, 2, 2))], InputError, "segments 1 have no pixels"),
        (IDS // 7, [Segment(1, ROAD, 3, (0, 0, 2, 2))] * 2, InputError, "id 1 is listed twice"),
        (IDS // 7, [Segment(1, 19, 3, (0, 0, 2, 2))], CategoryError, r"category 19 of segment 1 .*\(0..18\)"),
        (IDS // 7, [Segment(1, -1, 3, (0, 0, 2, 2))], CategoryError, "category -1"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    ids: np.ndarray, segments: list[Segment], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        PanopticMap(ids, tuple(segments), CITY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (IDS[None], r"integers \[h, w\], not int32 \[1, 3, 4\]"),
        (IDS.astype(np.float32), r"integers \[h, w\], not float32"),
        (IDS.astype(np.int64) << 32, "must be 0..16777215"),
    ],
)
def test_arrays_that_are_no_ids_are_refused(ids: np.ndarray, message: str) -> None:
    # Not through the constructor: under test its run-time annotations would speak first.
    with pytest.raises(InputError, match=message):
        checked_ids(ids)


def test_from_table_refuses_repeated_rows_and_unknown_categories() -> None:
    with pytest.raises(InputError, match="id 1 is listed twice"):
        PanopticMap.from_table(IDS // 7, [(1, CAR), (1, ROAD)], CITY)
    with pytest.raises(CategoryError, match="category 19"):
        PanopticMap.from_table(IDS // 7, [(1, 19)], CITY)


def test_long_lists_of_ids_stay_one_short_line() -> None:
    with pytest.raises(InputError, match=r"ids 1, 2, 3, 4, 5, 6, 7, 8 and 92 more of the map"):
        PanopticMap.from_table(np.arange(1, 101).reshape(10, 10), [], CITY)


def batch() -> PanopticBatch:
    ids = torch.zeros(2, 4, 6, dtype=torch.int64)
    ids[0, :3, :4] = torch.tensor([[1, 1, 3, 3], [1, 0, 3, 3], [0, 0, 0, 3]])
    ids[1] = 2
    return PanopticBatch(
        ids,
        torch.tensor([[ROAD, -1, CAR], [-1, SKY, -1]]),
        torch.tensor([[0.5, 0.0, 0.75], [0.0, 1.0, 0.0]], requires_grad=True),
        torch.tensor([[3, 0, 5], [0, 24, 0]]),
    )


def test_batch_to_maps() -> None:
    first, second = batch().to_maps(CITY, [(3, 4), (4, 6)])
    assert [(s.id, s.category, s.area, s.score) for s in first.segments] == [
        (1, ROAD, 3, 0.5),
        (3, CAR, 5, 0.75),
    ]
    assert (first.height, first.width) == (3, 4)
    assert second.segments == (Segment(2, SKY, 24, (0, 0, 6, 4), 1.0),)
    whole, _ = batch().to_maps(CITY)
    assert (whole.height, whole.width) == (4, 6) and whole.segments == first.segments
    # What the crop cuts away is gone from the table too.
    assert [s.id for s in batch().to_maps(CITY, [(2, 2), (1, 1)])[0].segments] == [1]


def test_batch_refuses_what_does_not_fit() -> None:
    with pytest.raises(InputError, match="1 sizes for a batch of 2 images"):
        batch().to_maps(CITY, [(3, 4)])
    broken = batch()
    broken.ids[0, 0, 0] = 2
    with pytest.raises(InputError, match="ids 2 of the map have no segment"):
        broken.to_maps(CITY)


def test_one_block_carries_the_batch_from_a_device() -> None:
    data = batch()
    for sent in (data, data._replace(overflow=torch.tensor([True] * len(data.ids)))):
        come = module._unpacked(module._packed(*sent), sent.ids.shape, 3)
        for here, there in zip(come, sent, strict=True):
            if there is None:
                assert here is None
            else:
                assert here is not None
                np.testing.assert_array_equal(here.numpy(), there.detach().numpy())
    assert data.host() is data

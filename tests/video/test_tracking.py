"""Identities through crossings, gaps and flicker; what a stream may throw at a tracker."""

import warnings

import numpy as np
import pytest
from pydantic import ValidationError

from pansight.categories import Categories
from pansight.errors import CategoryError, InputError
from pansight.metrics import VideoEvaluation
from pansight.panoptic import PanopticMap
from pansight.panoptic.ids import ID_LIMIT
from pansight.scenes import render_clip
from pansight.video.tracking import CUES, Tracker, TrackSettings
from pansight.video.tracking.smoothing import share_around

CATEGORIES = Categories.builtin("scenes")
PERSON, CAR, SKY, ROAD = (CATEGORIES.index(name) for name in ("person", "car", "sky", "road"))


def frame(*objects: tuple[int, int, int, int], height: int = 40, width: int = 120) -> PanopticMap:
    """Objects (category, x, y, size) before a sky; ids are the places in the list, 1 being the sky."""
    ids = np.full((height, width), 1, np.int32)
    table = [(1, SKY, 1.0)]
    for id, (category, x, y, size) in enumerate(objects, 2):
        ids[max(0, y) : max(0, y + size), max(0, x) : max(0, x + size)] = id
        table.append((id, category, 0.9))
    return PanopticMap.from_table(ids, table, CATEGORIES)


def id_at(panoptic: PanopticMap, x: int, y: int) -> int:
    return int(panoptic.ids[y, x])


def renumbered(panoptic: PanopticMap, seed: int) -> PanopticMap:
    order = np.random.default_rng(seed).permutation(len(panoptic.segments))
    ids = panoptic.paint((order + 1).tolist())
    rows = [(int(i) + 1, s.category, 0.9) for i, s in zip(order, panoptic.segments, strict=True)]
    return PanopticMap.from_table(ids, [rows[k] for k in np.argsort(order)], CATEGORIES)


def test_ids_do_not_depend_on_the_order_of_segments() -> None:
    tracker = Tracker(CATEGORIES)
    first = tracker.update(frame((PERSON, 10, 10, 12), (CAR, 60, 10, 12)))
    second = tracker.update(frame((CAR, 61, 10, 12), (PERSON, 12, 10, 12)))
    assert id_at(first, 15, 15) == id_at(second, 18, 15) > len(CATEGORIES)
    assert id_at(first, 65, 15) == id_at(second, 66, 15)
    assert id_at(first, 0, 0) == id_at(second, 0, 0) == SKY + 1


@pytest.fixture(scope="module")
def clips() -> list[list[PanopticMap]]:
    return [[sample.panoptic for sample in render_clip(77, index, 64, 96, 6)] for index in (0, 3)]


def test_a_clip_keeps_its_ids_however_frames_are_numbered(clips: list[list[PanopticMap]]) -> None:
    plain, shuffled = Tracker(CATEGORIES), Tracker(CATEGORIES)
    for number, panoptic in enumerate(clips[1]):
        one, other = plain.update(panoptic), shuffled.update(renumbered(panoptic, number))
        pairs = np.unique(np.stack((one.ids.ravel(), other.ids.ravel())), axis=1)
        assert len(pairs[0]) == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


def test_scenes_in_motion_score_nearly_as_the_truth(clips: list[list[PanopticMap]]) -> None:
    evaluation, frames_alone = VideoEvaluation(CATEGORIES), VideoEvaluation(CATEGORIES)
    for index, clip in enumerate(clips):
        tracker, none = Tracker(CATEGORIES), Tracker(CATEGORIES, TrackSettings(cues=()))
        evaluation.start_clip(str(index))
        frames_alone.start_clip(str(index))
        for number, truth in enumerate(clip):
            panoptic = renumbered(truth, number)
            evaluation.update(tracker.update(panoptic), truth)
            frames_alone.update(none.update(panoptic), truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracked, alone = evaluation.compute().tracking, frames_alone.compute().tracking
    assert tracked.stq is not None and alone.stq is not None
    assert tracked.stq > 0.97 and alone.stq < 0.6
    assert tracked.switches <= 1 < alone.switches


def test_crossing_objects_keep_their_ids() -> None:
    tracker = Tracker(CATEGORIES)
    seen = []
    for step in range(16):
        left, right = (PERSON, 10 + 5 * step, 8, 14), (PERSON, 90 - 5 * step, 16, 14)
        panoptic = tracker.update(frame(left, right))
        seen.append((id_at(panoptic, left[1] + 7, 9), id_at(panoptic, right[1] + 7, 29)))
    assert seen[0][0] == seen[-1][0] != seen[0][1] == seen[-1][1]


def test_an_object_returns_from_behind_another() -> None:
    tracker = Tracker(CATEGORIES)
    before = tracker.update(frame((PERSON, 20, 10, 12)), seconds=0.0)
    for step in range(1, 20):
        tracker.update(frame((CAR, 15, 5, 30)), seconds=step / 25)
    after = tracker.update(frame((CAR, 45, 5, 30), (PERSON, 22, 10, 12)), seconds=0.8)
    assert id_at(after, 26, 15) == id_at(before, 26, 15)


def test_memory_ends() -> None:
    tracker = Tracker(CATEGORIES, TrackSettings(memory=0.5))
    before = tracker.update(frame((PERSON, 20, 10, 12)), seconds=0.0)
    tracker.update(frame(), seconds=1.0)
    assert tracker.active == 0 and tracker.lost == 1
    after = tracker.update(frame((PERSON, 20, 10, 12)), seconds=1.1)
    assert id_at(after, 26, 15) > id_at(before, 26, 15)


def test_embeddings_tell_twins_apart_after_a_gap() -> None:
    """Two alike come back at each other's places: only what they look like can say who is who."""
    vectors = {"a": [1.0, 0.2, 0.0], "b": [0.2, 1.0, 0.0], "sky": [0.0, 0.0, 0.0]}
    order = [
        np.array([vectors[name] for name in names], np.float32)
        for names in (("sky", "a", "b"), ("sky", "b", "a"))
    ]
    found = {}
    for cues in (CUES, ("iou", "motion")):
        tracker = Tracker(CATEGORIES, TrackSettings(cues=cues))
        pair = frame((PERSON, 30, 10, 12), (PERSON, 50, 10, 12))
        for step in range(3):
            before = tracker.update(pair, order[0], seconds=step / 25)
        tracker.update(frame(), np.zeros((1, 3), np.float32), seconds=0.6)
        after = tracker.update(pair, order[1], seconds=0.8)
        found[len(cues)] = id_at(after, 35, 15) == id_at(before, 55, 15)
    assert found == {3: True, 2: False}


def test_a_category_that_flickers_is_outvoted() -> None:
    keeping, following = Tracker(CATEGORIES), Tracker(CATEGORIES, TrackSettings(keep_category=False))
    for tracker in (keeping, following):
        for _ in range(3):
            first = tracker.update(frame((PERSON, 20, 10, 14)))
        odd = tracker.update(frame((CAR, 20, 10, 14)))
        assert id_at(odd, 25, 15) == id_at(first, 25, 15)
        category = odd.segment(id_at(odd, 25, 15)).category
        assert category == (PERSON if tracker is keeping else CAR)


def test_gates_by_category() -> None:
    strict = Tracker(CATEGORIES, TrackSettings(cues=("iou",), gates={"person": 0.9}))
    frames = [frame((PERSON, x, 10, 14), (CAR, x + 50, 10, 14)) for x in (10, 14)]
    one, two = (strict.update(panoptic) for panoptic in frames)
    assert id_at(one, 15, 15) != id_at(two, 19, 15)
    assert id_at(one, 65, 15) == id_at(two, 69, 15)
    with pytest.raises(CategoryError, match="persom"):
        Tracker(CATEGORIES, TrackSettings(gates={"persom": 0.5}))
    with pytest.raises(InputError, match="gate 2"):
        Tracker(CATEGORIES, TrackSettings(gates={"person": 2.0}))


def test_weak_segments_continue_a_track_but_open_none() -> None:
    tracker = Tracker(CATEGORIES, TrackSettings(birth_score=0.95))
    assert id_at(tracker.update(frame((PERSON, 20, 10, 12))), 25, 15) == 0
    sure = PanopticMap.from_table(
        frame((PERSON, 20, 10, 12)).ids, [(1, SKY, 1.0), (2, PERSON, 0.99)], CATEGORIES
    )
    known = id_at(tracker.update(sure), 25, 15)
    assert known > 0 and id_at(tracker.update(frame((PERSON, 21, 10, 12))), 25, 15) == known


def test_frames_of_another_size_and_empty_ones() -> None:
    tracker = Tracker(CATEGORIES)
    nothing = PanopticMap.from_table(np.zeros((40, 120), np.int32), [], CATEGORIES)
    assert tracker.update(nothing).segments == ()
    first = tracker.update(frame((PERSON, 20, 10, 12)))
    other = tracker.update(frame((PERSON, 20, 10, 12), height=60, width=200))
    assert id_at(first, 25, 15) == id_at(other, 25, 15)
    assert tracker.update(nothing).segments == ()
    with pytest.raises(InputError, match="3 embeddings for 2 segments"):
        tracker.update(frame((PERSON, 20, 10, 12)), np.zeros((3, 4), np.float32))
    coco = PanopticMap.from_table(np.ones((4, 4), np.int32), [(1, 0)], Categories.builtin("coco"))
    with pytest.raises(CategoryError, match="make a tracker of its categories"):
        tracker.update(coco)


def test_ids_fit_a_png_for_ever() -> None:
    tracker = Tracker(CATEGORIES, TrackSettings(memory=0.01))
    known = id_at(tracker.update(frame((PERSON, 20, 10, 12)), seconds=0.0), 25, 15)
    tracker._next = ID_LIMIT - 1
    two = frame((PERSON, 20, 10, 12), (PERSON, 60, 10, 12), (PERSON, 90, 10, 12))
    ids = [segment.id for segment in tracker.update(two, seconds=0.005).things()]
    assert known in ids and len(set(ids)) == 3 and max(ids) < ID_LIMIT
    assert min(ids) > len(CATEGORIES)


def test_a_clock_that_runs_backwards_is_held() -> None:
    tracker = Tracker(CATEGORIES)
    first = tracker.update(frame((PERSON, 20, 10, 12)), seconds=5.0)
    again = tracker.update(frame((PERSON, 21, 10, 12)), seconds=4.0)
    assert id_at(first, 25, 15) == id_at(again, 25, 15)


def test_still_pixels_keep_their_segment_for_a_while() -> None:
    image = np.full((40, 120, 3), 90, np.uint8)
    large, small = frame((PERSON, 20, 10, 14)), frame((PERSON, 20, 10, 12))
    tracker = Tracker(CATEGORIES, TrackSettings(steady=2))
    areas = [tracker.update(one, image=image).things()[0].area for one in (large, small, small, small, large)]
    assert areas == [196, 196, 196, 144, 144]
    moved = image.copy()
    moved[10:24, 20:34] = 200
    tracker = Tracker(CATEGORIES, TrackSettings(steady=2))
    areas = [
        tracker.update(*pair[:1], image=pair[1]).things()[0].area for pair in ((large, image), (small, moved))
    ]
    assert areas == [196, 144]
    off = Tracker(CATEGORIES, TrackSettings(steady=0))
    assert [off.update(one, image=image).things()[0].area for one in (large, small)] == [196, 144]


@pytest.mark.parametrize(("changing", "edge"), [(0.25, 80), (0.75, 40)])
def test_smoothing_holds_or_takes_whole_pieces_of_a_change(changing: float, edge: int) -> None:
    """Decided for every pixel by itself, a camera that moves a little left outlines in tatters."""
    drawn = np.random.default_rng(5)
    image = drawn.integers(0, 256, (96, 120, 3), dtype=np.uint8)
    changed = np.where(drawn.random((96, 120, 1)) < changing, image ^ 0x80, image)
    large, small = (frame((CAR, 0, 0, size), height=96) for size in (80, 40))
    tracker = Tracker(CATEGORIES, TrackSettings(steady=2))
    tracker.update(large, image=image)
    shown = tracker.update(small, image=changed)
    car = shown.ids == shown.things()[0].id
    assert car[:edge, :edge].all() and car.sum() == edge**2


def test_a_moving_object_does_not_lag_within_flicker() -> None:
    """Pixels decide with those of the same change: a ball is not held by what flickers around it."""
    tracker = Tracker(CATEGORIES, TrackSettings(steady=2))
    for step in range(6):
        image = np.full((96, 120, 3), 90, np.uint8)
        ids = np.full((96, 120), 1, np.int32)
        if step % 2:
            ids[8:88, 4:116] = 2  # a region that comes and goes while nothing is seen to change
        x = 10 + 8 * step
        ids[40:48, x : x + 8], image[40:48, x : x + 8] = 3, 240
        table = [(1, SKY, 1.0), (2, ROAD, 0.9), (3, CAR, 0.9)]
        shown = tracker.update(PanopticMap.from_table(ids, table, CATEGORIES), image=image)
        (car,) = shown.things()
        assert np.array_equal(shown.ids == car.id, ids == 3)


def test_shares_around_places_are_smooth_and_fit_any_size() -> None:
    right_half = np.arange(53)[None].repeat(37, 0) >= 32
    share = share_around(
        right_half.ravel(), np.arange(right_half.size), np.zeros(right_half.size, np.int64), (37, 53)
    ).reshape(37, 53)
    assert (share[:, :24] == 0).all() and (share[:, 40:] == 1).all()
    assert (np.diff(share, axis=1) >= 0).all() and (share[:, 32] > 0.5).all() and (share[:, 31] < 0.5).all()
    nowhere = np.arange(0)
    assert share_around(nowhere > 0, nowhere, nowhere, (37, 53)).shape == (0,)
    assert share_around(np.array([True]), np.array([0]), np.array([0]), (1, 1)).tolist() == [1]


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError):
        TrackSettings(least=1.5)
    with pytest.raises(ValidationError):
        TrackSettings(cues=("smell",))  # type: ignore[arg-type]
    assert TrackSettings(cues=("iou", "iou")).cues == ("iou",)

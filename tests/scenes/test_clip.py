"""Clips: one world in motion, in which every thing keeps its id."""

import numpy as np
import pytest

from pansight.errors import InputError
from pansight.scenes import render_clip, render_scene


def test_begins_with_the_scene() -> None:
    for index in range(4):
        scene, clip = render_scene(3, index, 64, 96), render_clip(3, index, 64, 96, 1)
        assert np.array_equal(clip[0].image, scene.image)
        assert clip[0].panoptic.same_as(scene.panoptic)


def test_a_clip_is_the_beginning_of_longer_ones() -> None:
    short, long = render_clip(3, 1, 64, 96, 2), render_clip(3, 1, 64, 96, 4)
    for a, b in zip(short, long, strict=False):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.panoptic.ids, b.panoptic.ids)
        assert (a.image_id, a.file_name) == (b.image_id, b.file_name)
    assert len({sample.image_id for sample in long}) == 4


def test_ids_stay_with_their_things() -> None:
    tracked = 0
    for index in range(6):
        category: dict[int, int] = {}
        place: dict[int, tuple[float, float]] = {}
        for frame, sample in enumerate(render_clip(8, index, 96, 128, 8)):
            for segment in sample.panoptic.segments:
                assert category.setdefault(segment.id, segment.category) == segment.category
            for segment in sample.panoptic.things():
                x, y, width, height = segment.box
                cut = x == 0 or y == 0 or x + width == 128 or y + height == 96
                middle = (x + width / 2, y + height / 2)
                if segment.id in place and not cut:
                    before = place[segment.id]
                    assert abs(middle[0] - before[0]) < 0.6 * width + 6, (index, frame, segment)
                    assert abs(middle[1] - before[1]) < 0.4 * height + 4
                    tracked += 1
                if cut:
                    place.pop(segment.id, None)
                else:
                    place[segment.id] = middle
    assert tracked > 60


def test_things_move_and_stuff_nearly_stays() -> None:
    moved = 0
    for index in range(5):
        first, *_, last = render_clip(8, index, 64, 96, 10)
        assert (first.panoptic.semantic() == last.panoptic.semantic()).mean() > 0.6
        boxes = {segment.id: segment.box for segment in first.panoptic.things()}
        moved += sum(abs(s.box[0] - boxes[s.id][0]) >= 2 for s in last.panoptic.things() if s.id in boxes)
    assert moved >= 4


def test_noise_is_new_in_every_frame() -> None:
    first, second = render_clip(8, 2, 64, 96, 2)
    same = first.panoptic.ids == second.panoptic.ids
    assert same.mean() > 0.8
    assert (first.image != second.image).any(2)[same].mean() > 0.5


def test_empty_clips_are_refused() -> None:
    with pytest.raises(InputError, match="frames must be positive, got 0"):
        render_clip(0, 0, 64, 64, 0)
    with pytest.raises(InputError, match="seed -1"):
        render_clip(-1, 0, 64, 64, 2)

"""Scenes: the same everywhere, whole, and never with segments too small to be learnt."""

import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.data.sample import Sample
from pansight.errors import InputError
from pansight.scenes import SceneDataset, render_scene
from pansight.scenes.kinds import STUFF, THINGS
from pansight.scenes.layers import MIN_STUFF_SHARE, MIN_THING_PIXELS, MIN_THING_SHARE


def digest(sample: Sample) -> str:
    return hashlib.sha256(sample.image.tobytes() + sample.panoptic.ids.tobytes()).hexdigest()


def test_the_builtin_categories_are_those_of_the_scenes() -> None:
    categories = Categories.builtin("scenes")
    assert categories.names == (*THINGS, *STUFF)
    assert categories.is_thing.tolist() == [True] * len(THINGS) + [False] * len(STUFF)
    assert len({tuple(color) for color in categories.colors.tolist()}) == len(categories)


def test_same_bytes_in_any_order() -> None:
    first = [digest(render_scene(4, index, 64, 96)) for index in range(6)]
    again = [digest(render_scene(4, index, 64, 96)) for index in reversed(range(6))]
    assert first == again[::-1]
    assert len(set(first)) == 6


def test_same_bytes_in_another_process() -> None:
    program = (
        "import hashlib; from pansight.scenes import render_scene; s = render_scene(4, 3, 64, 96);"
        "print(hashlib.sha256(s.image.tobytes() + s.panoptic.ids.tobytes()).hexdigest())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    render_scene(4, 0, 80, 64)  # another scene first here, none there
    assert result.stdout.strip() == digest(render_scene(4, 3, 64, 96))


def test_seeds_give_other_scenes() -> None:
    assert digest(render_scene(0, 0, 64, 64)) != digest(render_scene(1, 0, 64, 64))


@pytest.mark.parametrize(
    ("height", "width"), [(32, 32), (64, 64), (97, 131), (320, 180), (40, 320), (320, 40), (192, 256)]
)
def test_every_size(height: int, width: int) -> None:
    sample = render_scene(2, 5, height, width)
    assert sample.image.shape == (height, width, 3)
    assert sample.image.dtype == np.uint8
    assert (sample.panoptic.height, sample.panoptic.width) == (height, width)
    assert sample.image.std() > 10


def test_full_hd() -> None:
    sample = render_scene(2, 5, 1080, 1920)
    assert sample.image.shape == (1080, 1920, 3)
    assert {s.category for s in sample.panoptic.segments} >= {Categories.builtin("scenes").index("sky")}


def test_larger_pictures_show_the_same_scene() -> None:
    small, large = render_scene(6, 8, 96, 128), render_scene(6, 8, 192, 256)
    semantic = large.panoptic.semantic()[::2, ::2]
    assert (semantic == small.panoptic.semantic()).mean() > 0.93


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    index=st.integers(0, 10**6),
    height=st.integers(48, 160),
    width=st.integers(48, 200),
)
def test_every_segment_is_whole_and_large_enough(seed: int, index: int, height: int, width: int) -> None:
    sample = render_scene(seed, index, height, width)
    segments = sample.panoptic.segments
    assert [segment.id for segment in segments] == list(range(1, len(segments) + 1))
    assert sample.panoptic.ids.min() >= 1, "no void"
    stuff = [segment.category for segment in segments if segment.category >= len(THINGS)]
    assert len(stuff) == len(set(stuff)), "one segment a kind of stuff"
    for segment in segments:
        if segment.category < len(THINGS):
            assert segment.area >= max(MIN_THING_PIXELS, MIN_THING_SHARE * height * width)
        else:
            assert segment.area >= MIN_STUFF_SHARE * height * width


def test_all_categories_appear_and_most_scenes_have_several_things() -> None:
    scenes = SceneDataset(0, (64, 80), 100)
    found: dict[int, int] = {}
    things = []
    for sample in scenes:
        for category in {segment.category for segment in sample.panoptic.segments}:
            found[category] = found.get(category, 0) + 1
        things.append(len(sample.panoptic.things()))
    assert sorted(found) == list(range(len(scenes.categories)))
    assert min(found.values()) >= 9, "the rarest kind is in every tenth scene"
    assert 3 < np.mean(things) < 6
    assert np.mean([2 <= count <= 7 for count in things]) > 0.75
    assert max(things) >= 8
    assert min(things) <= 1


def test_the_truth_lies_on_edges_of_the_picture() -> None:
    """Colour changes more across the borders of segments than elsewhere: truth and picture are aligned."""
    across, inside = [], []
    for sample in SceneDataset(9, (120, 160), 12):
        grey = sample.image.astype(np.float64).mean(2)
        step = np.abs(np.diff(grey, axis=1))
        border = np.diff(sample.panoptic.ids, axis=1) != 0
        across.append(step[border].mean())
        inside.append(step[~border].mean())
        shifted = np.roll(border, 4, axis=1)
        assert step[border].mean() > 1.5 * step[shifted & ~border].mean()
    assert np.mean(across) > 4 * np.mean(inside)


@pytest.mark.parametrize(
    ("index", "areas", "color"),
    [
        (2, {"sky": 10105, "road": 12387, "bus": 2725, "car": 1672, "bird": 328}, (140.8, 145.73, 128.56)),
        (
            4,
            {"water": 12929, "car": 4056, "boat": 2520, "balloon": 896, "bird": 426},
            (126.13, 136.77, 134.21),
        ),
        (7, {"grass": 12214, "vegetation": 7662, "cow": 1921, "sheep": 387}, (111.15, 131.64, 123.06)),
    ],
)
def test_the_scenes_are_pinned(index: int, areas: dict[str, int], color: tuple[float, float, float]) -> None:
    """Networks were trained on these pictures: who changes them must train anew. Rounding may differ."""
    sample = render_scene(0, index, 192, 256)
    names = sample.panoptic.categories.names
    found = {names[segment.category]: segment.area for segment in sample.panoptic.segments}
    assert {name: found.get(name) for name in areas} == pytest.approx(areas, rel=0.01)
    assert sample.image.mean((0, 1)) == pytest.approx(color, abs=0.3)


def test_dataset_is_a_window_on_the_scenes() -> None:
    scenes = SceneDataset(seed=4, size=(64, 96), length=3, offset=2)
    assert len(scenes) == 3
    assert digest(scenes[1]) == digest(render_scene(4, 3, 64, 96))
    assert digest(scenes[-1]) == digest(scenes[2])
    assert [sample.image_id for sample in scenes] == [2, 3, 4]
    assert scenes[0].file_name == "scene-4-000002.png"
    assert scenes[0].panoptic.categories == scenes.categories
    with pytest.raises(IndexError):
        scenes[3]
    with pytest.raises(IndexError):
        scenes[-4]


def test_dataset_travels_to_workers() -> None:
    scenes = SceneDataset(4, (64, 96), 3)
    payload = pickle.dumps(scenes)
    assert len(payload) < 400
    assert digest(pickle.loads(payload)[2]) == digest(scenes[2])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((-1, 0, 64, 64), "seed -1"),
        ((0, -2, 64, 64), "scene -2"),
        ((0, 0, 31, 64), "64 x 31"),
        ((0, 0, 64, 9000), "9000"),
    ],
)
def test_impossible_scenes_are_refused(arguments: tuple[int, int, int, int], named: str) -> None:
    with pytest.raises(InputError, match=named):
        render_scene(*arguments)
    seed, index, height, width = arguments
    with pytest.raises(InputError, match=named):
        SceneDataset(seed, (height, width), 1, index)


def test_negative_length_is_refused() -> None:
    with pytest.raises(InputError, match="length must be 0 or more, got -1"):
        SceneDataset(0, (64, 64), -1)

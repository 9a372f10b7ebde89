"""Sheets of samples."""

import numpy as np
import pytest

from pansight.data.sample import Sample
from pansight.datatools.sheet import choose_samples, draw_sheet, fitted
from pansight.errors import DataError
from pansight.panoptic import PanopticMap
from pansight.scenes import SceneDataset


class Broken:
    """Scenes of which one cannot be read."""

    def __init__(self, seed: int, size: tuple[int, int], length: int) -> None:
        self.scenes = SceneDataset(seed, size, length)
        self.categories = self.scenes.categories
        self.names = [f"{number}.png" for number in range(length)]
        self.image_ids = list(range(length))

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        if index == 2:
            raise DataError("scene 2: is broken")
        return self.scenes[index]

    def truth(self, index: int) -> PanopticMap:
        return self[index].panoptic


@pytest.fixture
def scenes() -> SceneDataset:
    return SceneDataset(5, (32, 32), 8)


def test_samples_are_chosen_by_the_seed(scenes: SceneDataset) -> None:
    first = choose_samples(scenes, 4, seed=1)
    assert first == choose_samples(scenes, 4, seed=1) == sorted(set(first)) and len(first) == 4
    assert any(choose_samples(scenes, 4, seed=seed) != first for seed in range(2, 6))
    assert choose_samples(scenes, 40) == list(range(8))


def test_samples_are_chosen_by_category(scenes: SceneDataset) -> None:
    wanted = [scenes.truth(3).segments[0].category]
    chosen = choose_samples(scenes, 8, categories=wanted)
    has = [
        index
        for index in range(8)
        if wanted[0] in {segment.category for segment in scenes.truth(index).segments}
    ]
    assert chosen == has and 3 in chosen
    steps: list[tuple[int, int]] = []
    assert len(choose_samples(scenes, 1, 0, wanted, lambda *step: steps.append(step))) == 1
    assert steps == [(1, 1)]


def test_a_sheet_shows_all_and_names_what_it_cannot_show() -> None:
    broken = Broken(5, (32, 32), 4)
    sheet, problems = draw_sheet(broken, [0, 1, 2], width=64)
    assert sheet is not None and sheet.dtype == np.uint8 and problems == ["scene 2: is broken"]
    beside, _ = draw_sheet(broken, [0, 1], width=64, beside=True)
    assert beside is not None
    picture = fitted(broken[0], 64).image
    for row in (0, 20, 60):  # the bare picture is in it, whole
        assert any(picture[row].tobytes() in line.tobytes() for line in beside)
    assert draw_sheet(broken, [2]) == (None, ["scene 2: is broken"])


def test_fitting_keeps_the_aspect_and_limits_the_height(scenes: SceneDataset) -> None:
    small = fitted(scenes[0], 16)
    assert (small.width, small.height) == (16, 16)
    assert {s.id for s in small.panoptic.segments} <= {s.id for s in scenes[0].panoptic.segments}
    tall = Sample(
        np.zeros((400, 10, 3), np.uint8),
        PanopticMap.from_table(np.ones((400, 10), np.int32), [(1, 0)], scenes.categories),
        0,
        "tall",
    )
    assert (fitted(tall, 100).height, fitted(tall, 100).width) == (125, 3)

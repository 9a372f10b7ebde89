"""The search: finds what is better, reports what holds on images that had no part in it."""

import numpy as np
import pytest
import torch

from pansight.merging import MergeSettings, calibrate_and_void
from pansight.models.dense_detection.config import DenseMergeSettings
from pansight.panoptic import PanopticBatch
from pansight.training.tuning.scoring import Scored
from pansight.training.tuning.search import Search, candidates

IMAGES, CATEGORIES = 60, 3


class World:
    """Quality that depends on the settings: best at object_threshold 0.35 and stuff_area 32, with noise."""

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise
        self.calls: list[str] = []

    def __call__(self, settings: MergeSettings) -> Scored:
        assert isinstance(settings, DenseMergeSettings)
        self.calls.append(settings.model_dump_json())
        loss = (
            0.0 if self.noise else abs(settings.object_threshold - 0.35) + 0.1 * (settings.stuff_area != 32)
        )
        seed = np.frombuffer(settings.model_dump_json().encode(), dtype=np.uint8)
        generator = np.random.default_rng(seed)
        images = np.repeat(np.arange(IMAGES), CATEGORIES)
        categories = np.tile(np.arange(CATEGORIES), IMAGES)
        ious = np.clip(0.9 - loss + self.noise * generator.normal(size=len(images)), 0.51, 1)
        return Scored(
            images, categories, np.full(len(images), 0.5), ious, np.ones((IMAGES, CATEGORIES), np.int64)
        )


START = DenseMergeSettings(object_threshold=0.2, stuff_area=64)


def test_the_best_is_found_and_every_setting_is_tried_once() -> None:
    world = World()
    said: list[str] = []
    found = Search(world, START, IMAGES).run(said.append)
    assert isinstance(found.settings, DenseMergeSettings)
    assert found.settings.object_threshold == 0.35 and found.settings.stuff_area == 32
    assert len(world.calls) == len(set(world.calls)) == found.trials
    assert found.gain.difference == pytest.approx(0.25, abs=1e-9) == found.fitted.difference
    assert found.gain.low > 0
    assert len(said) == 5 and "object_threshold 0.35, stuff_area 32" in said[0]
    assert found.settings.void_below_each == ()


def test_where_there_is_nothing_to_find_the_gain_held_out_says_so() -> None:
    """Noise alone: on the images that choose there always is a gain."""
    found = Search(World(noise=0.1), START, IMAGES, seed=1).run()
    assert found.fitted.difference > 0
    assert found.gain.difference < found.fitted.difference
    assert found.gain.low < 0


def test_settings_that_are_best_stay() -> None:
    start = DenseMergeSettings(object_threshold=0.35, stuff_area=32)
    found = Search(World(), start, IMAGES).run()
    assert found.settings == start
    assert found.gain.difference == 0


def test_a_method_s_own_fields_are_tried() -> None:
    tried = dict(candidates(START))
    assert tried.keys() == {"object_threshold", "mask_threshold", "max_occlusion", "stuff_area"}
    assert START.object_threshold in tried["object_threshold"] and 0 in tried["stuff_area"]


def test_void_by_category() -> None:
    """What the thresholds do to a finished map."""
    batch = PanopticBatch(
        torch.tensor([[[1, 2], [3, 0]]]),
        torch.tensor([[0, 1, 1, -1]]),
        torch.tensor([[0.4, 0.4, 0.8, 0.0]]),
        torch.tensor([[1, 1, 1, 0]]),
    )
    settings = DenseMergeSettings(void_below_each=(0.3, 0.6))
    made = calibrate_and_void(batch, settings)
    assert made.ids.tolist() == [[[1, 0], [3, 0]]]
    assert made.categories.tolist() == [[0, -1, 1, -1]]
    both = calibrate_and_void(batch, settings.replaced({"void_below": 0.5}))
    assert both.ids.tolist() == [[[0, 0], [3, 0]]]

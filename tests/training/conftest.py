"""A toy world and a network small enough to be trained in a test."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from pansight.categories import Categories, Category
from pansight.data.sample import Sample
from pansight.panoptic import PanopticMap
from pansight.training.config import TrainConfig
from pansight.training.recipes import make_config
from pansight.training.sources import Sources

CATEGORIES = Categories(
    [
        Category("sky", False, 1, (20, 60, 220)),
        Category("ground", False, 2, (60, 160, 60)),
        Category("ball", True, 3, (220, 40, 40)),
    ],
    "toy",
)

TINY = {
    "depth": 18,
    "width": 8,
    "backbone_norm": "batch",
    "aggregated_dim": 16,
    "hidden_dim": 32,
    "proposals": 10,
    "feedforward_dim": 64,
    "heads": 4,
    "points": 256,
    "merge": {"object_threshold": 0.0, "keep_share": 0.0},
}


@dataclass(frozen=True)
class ToyScenes:
    """Balls over a horizon; a seed and a place in the series say everything."""

    seed: int
    length: int
    size: tuple[int, int] = (64, 64)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        generator = np.random.default_rng([self.seed, index])
        height, width = self.size
        ids = np.ones(self.size, dtype=np.int32)
        ids[int(height * generator.uniform(0.3, 0.7)) :] = 2
        table = [(1, 0), (2, 1)]
        y, x = np.mgrid[:height, :width]
        for ball in range(int(generator.integers(1, 4))):
            radius = generator.uniform(0.1, 0.25) * height
            ids[
                (y - generator.uniform(0, height)) ** 2 + (x - generator.uniform(0, width)) ** 2 < radius**2
            ] = 10 + ball
            table.append((10 + ball, 2))
        colors = np.zeros((20, 3))
        for id, category in table:
            colors[id] = CATEGORIES[category].color
        image = np.clip(colors[ids] + generator.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8)
        return Sample(image, PanopticMap.from_table(ids, table, CATEGORIES), index, f"toy {index}")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks lose by threads; and the choice must not leak out of a test."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def toy() -> Callable[..., ToyScenes]:
    """Makes toy scenes."""
    return ToyScenes


@pytest.fixture
def sources() -> Sources:
    """Toy scenes to train on, and others to validate with."""
    return Sources(ToyScenes(0, 12), ToyScenes(1, 3), CATEGORIES)


@pytest.fixture
def tiny() -> Callable[..., TrainConfig]:
    """Makes a configuration of a very small training; keywords replace whole sections."""

    def make(**changes: Any) -> TrainConfig:
        return make_config(
            {
                "model": {"config": TINY},
                "optimizer": {"learning_rate": 1e-3, "one_rate": True, "schedule": {"kind": "constant"}},
                "validation": {"every": 0},
                "steps": 6,
                "batch_size": 2,
                "workers": 0,
                "device": "cpu",
                "log_every": 1,
                "checkpoint_every": 3,
                **changes,
            }
        )

    return make

"""What is found out before a training: costs, rates, batches; and odd data train like any other."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pansight.categories import Categories, Category
from pansight.data.sample import Sample
from pansight.errors import InputError, PansightError
from pansight.panoptic import PanopticMap
from pansight.training import trial
from pansight.training.config import TrainConfig
from pansight.training.sources import Sources
from pansight.training.trial import Trial, best_rate, dry_run, estimate_lines, find_batch_size, find_rate

Tiny = Callable[..., TrainConfig]

METHODS: dict[str, dict[str, Any]] = {
    "yoso": {
        "depth": 18, "width": 8, "backbone_norm": "batch", "aggregated_dim": 16, "hidden_dim": 32,
        "proposals": 10, "feedforward_dim": 64, "heads": 4, "points": 64,
    },
    "dense_detection": {
        "depth": 18, "width": 8, "pyramid_channels": 16, "box_channels": 16, "class_channels": 16,
        "level_bounds": [16, 32, 64, 128],
    },
    "panoptic_fcn": {
        "depth": 18, "width": 8, "pyramid_channels": 16, "norm_group": 4, "encoder_channels": 8,
    },
    "epsnet": {"depth": 18, "width": 8, "pyramid_channels": 16, "norm_groups": 4, "prototypes": 8},
}  # fmt: skip

BALL = Category("ball", True, 1, (200, 0, 0))
CUBE = Category("cube", True, 2, (0, 200, 0))
SKY = Category("sky", False, 3, (0, 0, 200))
ROAD = Category("road", False, 4, (90, 90, 90))


class Plain:
    """Two images: a square of the first category on a ground of the last, and one without any segment."""

    def __init__(self, categories: Categories) -> None:
        self.categories = categories

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        image = np.random.default_rng(index).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        ids = np.zeros((64, 64), dtype=np.int32)
        table = []
        if index == 0:
            if len(self.categories) > 1 or not self.categories[0].is_thing:
                ids[:] = 1
                table.append((1, len(self.categories) - 1))
            if self.categories[0].is_thing:
                ids[10:40, 10:40] = 2
                table.append((2, 0))
        return Sample(image, PanopticMap.from_table(ids, table, self.categories), index, f"{index}.png")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "kinds",
    [(BALL, CUBE), (SKY, ROAD), (BALL,), (SKY,)],
    ids=["no stuff", "no things", "one thing", "one stuff"],
)
def test_odd_categories_train_and_predict(tiny: Tiny, method: str, kinds: tuple[Category, ...]) -> None:
    """With an image that has no segment in every batch, and then alone."""
    samples = Plain(Categories(list(kinds), "odd"))
    config = tiny(model={"method": method, "config": METHODS[method]})
    sources = Sources(samples, None, samples.categories)
    if method in ("panoptic_fcn", "dense_detection") and not any(kind.is_thing for kind in kinds):
        with pytest.raises(InputError, match=r"at least one thing category; the data's are sky \(stuff\)"):
            Trial(config, sources)
        return
    tried = Trial(config, sources)
    for size in (2, 1, 1):
        batches = tried.batches(size)
        for batch in (next(batches), next(batches)):
            torch.manual_seed(0)
            assert math.isfinite(tried.step(batch))
    model = tried.model.eval()
    images, sizes = model.preprocess.batch([samples[0].image])
    (found,) = model.predict(images, sizes).to_maps(model.categories, sizes.output)
    assert found.ids.shape == (64, 64)


def test_a_dry_run_fits_estimates_and_writes_nothing(tiny: Tiny, sources: Sources) -> None:
    config = tiny(
        optimizer={"learning_rate": 3e-3, "one_rate": True, "gradient_clip": 1.0, "weight_decay": 0.0},
        validation={"every": 10, "pictures": 2},
        steps=1000,
        model={"config": METHODS["yoso"]},
    )
    found = dry_run(config, sources)
    assert found.learned and found.last_loss < 0.7 * found.first_loss
    assert found.memory > 50e6
    lines = list(estimate_lines(found, config))
    assert lines[0].startswith("4 images in 40 steps: loss ") and lines[0].endswith("fitted")
    assert "for 1000 steps" in lines[1] and "100 validations" in lines[1]
    assert "GB" in lines[2]
    slower = found._replace(seconds_a_step=3.0, seconds_a_batch=0.5, seconds_a_validation=6.0)
    assert "1:00:20 for 1000 steps" in list(estimate_lines(slower._replace(seconds_a_step=2.52), config))[1]


def test_the_rate_is_where_the_loss_falls_most_steeply() -> None:
    rates = list(np.geomspace(1e-6, 1, 100))
    # flat, then a fall around 1e-3, then up from 3e-2 on
    losses = [
        10 - 8 / (1 + math.exp(-4 * (math.log10(rate) + 3))) + (max(math.log10(rate) + 1.5, 0) ** 2) * 20
        for rate in rates
    ]
    assert 3e-4 < best_rate(rates, losses) < 3e-3
    # the first smoothed losses are those of a few batches
    assert 3e-4 < best_rate(rates, [15.0, 12.0, 10.5, 10.2, 10.1, *losses[5:]]) < 3e-3
    with pytest.raises(PansightError, match="the loss falls at no rate"):
        best_rate(rates, [10.0 + rate for rate in rates])
    # a first batch of much loss, and no fall after it
    with pytest.raises(PansightError, match="the loss falls at no rate"):
        best_rate(rates, [14.0, 12.0, *(10.0 - 0.1 * (place % 7) for place in range(98))])


def test_a_rate_is_found(tiny: Tiny, sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "RATE_STEPS", 40)
    found = find_rate(tiny(model={"config": METHODS["yoso"]}), sources)
    assert 1e-5 < found.best < 0.1
    assert len(found.rates) == len(found.losses) > 10


def test_the_batch_follows_the_free_memory(
    tiny: Tiny, toy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = Sources(toy(0, 400), None, toy(0, 1)[0].panoptic.categories)
    config = tiny(model={"config": METHODS["yoso"]})
    sizes = {}
    for free in (64e6, 256e6, 64e9):
        monkeypatch.setattr(trial, "_free_memory", lambda device, free=free: free)
        size, line = find_batch_size(config, many)
        sizes[free] = size
        assert size & (size - 1) == 0 and line.startswith(f"batch size {size}: an image takes ")
    assert 1 <= sizes[64e6] < sizes[256e6] <= sizes[64e9] == 64
    few = Sources(toy(0, 9), None, many.categories)
    assert find_batch_size(config, few)[0] == 2

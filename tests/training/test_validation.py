"""Validation measures what it is given, whatever the batches."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pansight.errors import DataError
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.training.config import TrainConfig
from pansight.training.sources import Sources
from pansight.training.validation import batches_of_one_size, measure, summary


def test_only_pictures_of_one_size_share_a_batch(toy: Callable[..., Any]) -> None:
    small, large = toy(0, 9), toy(0, 9, (96, 64))
    samples = [small[0], small[1], small[2], large[0], small[3], large[1], large[2]]
    groups = list(batches_of_one_size(samples, 2))
    assert [len(group) for group in groups] == [2, 1, 1, 1, 2]
    assert [sample for group in groups for sample in group] == samples
    assert list(batches_of_one_size([], 2)) == []


def test_batches_do_not_change_the_figure(
    toy: Callable[..., Any], sources: Sources, tiny: Callable[..., TrainConfig]
) -> None:
    torch.manual_seed(0)
    fields = tiny().model.config
    model = YOSO(YOSOConfig(**fields), sources.categories, Preprocess()).eval()
    samples = [toy(0, 9)[i] for i in range(4)]
    one = measure(model, [[sample] for sample in samples], torch.device("cpu"), 1)
    all_ = measure(model, [samples], torch.device("cpu"), 4)
    assert one.images == all_.images == 4
    first, second = summary(one.compute()), summary(all_.compute())
    assert first == pytest.approx(second, abs=1.0, nan_ok=True), "one pixel may fall to the other side"
    assert set(first) == {f"{q}{g}" for q in ("pq", "sq", "rq") for g in ("", "_things", "_stuff")}


def test_truth_held_against_itself_is_perfect(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sources.validation is not None
    samples = [sources.validation[i] for i in range(3)]

    class Oracle(YOSO):
        """Knows the answers."""

        calls = 0

        def predict(self, images: Any, sizes: Any) -> Any:
            assert sizes.output == [(64, 64)]
            self.calls += 1
            sample = samples[self.calls - 1]

            class Answer:
                def to_maps(self, categories: Any) -> list[Any]:
                    return [sample.panoptic]

            return Answer()

    config = YOSOConfig(depth=18, width=8, aggregated_dim=16, hidden_dim=32, heads=4)
    oracle = Oracle(config, sources.categories, Preprocess())
    result = summary(measure(oracle, [samples], torch.device("cpu"), 1).compute())
    assert {result[name] for name in ("pq", "pq_things", "pq_stuff", "sq", "rq")} == {100.0}


def test_an_unreadable_picture_is_named(sources: Sources) -> None:
    config = YOSOConfig(depth=18, width=8, aggregated_dim=16, hidden_dim=32, heads=4)
    model = YOSO(config, sources.categories, Preprocess()).eval()
    with pytest.raises(DataError, match=r"x\.png is broken"):
        measure(model, [[DataError("x.png is broken")]], torch.device("cpu"), 1)


def test_groups_without_segments_are_no_numbers() -> None:
    from pansight.categories import Categories
    from pansight.metrics.panoptic_quality import PanopticQuality

    row = summary(PanopticQuality(Categories.builtin("scenes")).compute())
    assert all(np.isnan(value) for value in row.values())

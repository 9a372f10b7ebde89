"""Validation measures what it is given, whatever the batches."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pansight.errors import DataError
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.panoptic import PanopticBatch
from pansight.runtime.engines import Rgb
from pansight.runtime.segmenter import Segmenter
from pansight.training.config import TrainConfig
from pansight.training.run import train
from pansight.training.sources import Sources
from pansight.training.validation import LiveEngine, measure, summary


def validator(model: YOSO, batch_size: int = 1) -> Segmenter:
    return Segmenter(LiveEngine(model, torch.device("cpu")), batch_size=batch_size)


def test_batches_do_not_change_the_figure(
    toy: Callable[..., Any], sources: Sources, tiny: Callable[..., TrainConfig]
) -> None:
    torch.manual_seed(0)
    fields = tiny().model.config
    model = YOSO(YOSOConfig(**fields), sources.categories, Preprocess()).eval()
    small, large = toy(0, 9), toy(0, 9, (96, 64))
    samples = [small[0], small[1], large[0], small[2], large[1], small[3]]
    one = measure(validator(model), samples)
    all_ = measure(validator(model, 4), samples)
    assert one.images == all_.images == 6
    first, second = summary(one.compute()), summary(all_.compute())
    assert first == pytest.approx(second, abs=1.0, nan_ok=True), "one pixel may fall to the other side"
    assert set(first) == {f"{q}{g}" for q in ("pq", "sq", "rq") for g in ("", "_things", "_stuff")}


def test_it_is_the_model_itself_in_the_trainers_context(sources: Sources) -> None:
    """Weights that training changes count at once, and autocast reaches the thread of the network."""
    config = YOSOConfig(depth=18, width=8, aggregated_dim=16, hidden_dim=32, heads=4)
    model = YOSO(config, sources.categories, Preprocess()).eval()
    seen: list[bool] = []
    model.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    engine = LiveEngine(model, torch.device("cpu"), lambda: torch.autocast("cpu", torch.bfloat16))
    assert engine.model is model
    assert sources.validation is not None
    measure(Segmenter(engine), [sources.validation[0]])
    assert seen == [True]


def test_truth_held_against_itself_is_perfect(sources: Sources) -> None:
    assert sources.validation is not None
    samples = [sources.validation[i] for i in range(3)]

    class Oracle(LiveEngine):
        """Knows the answers."""

        def __call__(
            self, frames: Sequence[Rgb], sizes: Sequence[tuple[int, int]] | None = None
        ) -> PanopticBatch:
            (frame,) = frames
            (sample,) = (one for one in samples if one.image is frame)
            segments = sample.panoptic.segments
            rows = {one.id: number for number, one in enumerate(segments, 1)}
            ids = np.vectorize(lambda id_: rows.get(id_, 0))(sample.panoptic.ids)
            return PanopticBatch(
                torch.from_numpy(ids.astype(np.int32))[None],
                torch.tensor([[one.category for one in segments]]),
                torch.ones(1, len(segments)),
                torch.tensor([[one.area for one in segments]]),
            )

    config = YOSOConfig(depth=18, width=8, aggregated_dim=16, hidden_dim=32, heads=4)
    oracle = Oracle(YOSO(config, sources.categories, Preprocess()), torch.device("cpu"))
    result = summary(measure(Segmenter(oracle), samples).compute())
    assert {result[name] for name in ("pq", "pq_things", "pq_stuff", "sq", "rq")} == {100.0}


def test_an_unreadable_picture_is_named(sources: Sources) -> None:
    config = YOSOConfig(depth=18, width=8, aggregated_dim=16, hidden_dim=32, heads=4)
    model = YOSO(config, sources.categories, Preprocess()).eval()
    with pytest.raises(DataError, match=r"^x\.png is broken$"):
        measure(validator(model), [DataError("x.png is broken")])


def test_a_part_of_the_images_is_taken_from_all_over_the_data(
    tiny: Callable[..., TrainConfig], toy: Callable[..., Any], sources: Sources, tmp_path: Path
) -> None:
    """The first ones alone are of one clip or one city."""
    images, read = toy(1, 20), []

    class Watched:
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> Any:
            read.append(index)
            return images[index]

    changes: dict[str, Any] = {"steps": 1, "validation": {"every": 1, "pictures": 3}}
    watched = sources.__class__(sources.training, Watched(), sources.categories)
    train(tiny(**changes), tmp_path / "run", sources=watched, check=False)
    assert read == [0, 10, 19]


def test_groups_without_segments_are_no_numbers() -> None:
    from pansight.categories import Categories
    from pansight.metrics.panoptic_quality import PanopticQuality

    row = summary(PanopticQuality(Categories.builtin("scenes")).compute())
    assert all(np.isnan(value) for value in row.values())

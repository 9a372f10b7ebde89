"""Panoptic quality on synthetic scenes for several settings of the merge, the network being run once."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import torch

from pansight.data.sample import Sample
from pansight.metrics import PanopticQuality, PanopticQualityResult
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Sizes

Settings = Mapping[str, Any]
"""values of configuration fields by name"""


class Predictions(NamedTuple):
    """Outputs of the network for a batch of scenes."""

    outputs: Any
    sizes: Sizes
    scenes: Sequence[Sample]


@torch.inference_mode()
def predictions(model: PanopticModel, scenes: Sequence[Sample], batch_size: int = 10) -> list[Predictions]:
    """The network's answers, kept: merging them is cheap and can be repeated for every setting."""
    kept = []
    for first in range(0, len(scenes), batch_size):
        chunk = scenes[first : first + batch_size]
        images, sizes = model.preprocess.batch([sample.image for sample in chunk])
        kept.append(Predictions(model(images), sizes, chunk))
    return kept


def apply(model: PanopticModel, settings: Settings) -> None:
    """Change fields of the model's configuration, or of its `merge`; nothing is checked."""
    merge = model.merge_settings
    mine = {name: value for name, value in settings.items() if name in type(merge).model_fields}
    rest = {name: value for name, value in settings.items() if name not in mine}
    model.config = model.config.model_copy(update={**rest, "merge": merge.model_copy(update=mine)})


@torch.inference_mode()
def quality(
    model: PanopticModel, kept: Iterable[Predictions], settings: Settings | None = None
) -> PanopticQualityResult:
    """Panoptic quality of the maps that the model makes of kept predictions, with its settings changed."""
    apply(model, settings or {})
    measured = PanopticQuality(model.categories)
    for outputs, sizes, scenes in kept:
        maps = model.merge(outputs, sizes).to_maps(model.categories, sizes.output)
        for predicted, sample in zip(maps, scenes, strict=True):
            measured.update(predicted, sample.panoptic, sample.file_name)
    return measured.compute()


def best_settings(
    model: PanopticModel, kept: Sequence[Predictions], grid: Mapping[str, Sequence[Any]]
) -> tuple[dict[str, Any], float]:
    """The combination of the grid's values with the highest PQ, and that PQ (0..1); applied to the model."""
    best: tuple[dict[str, Any], float] = ({}, -1.0)
    for values in product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        found = quality(model, kept, settings).all
        if found is not None and found.pq > best[1]:
            best = (settings, found.pq)
    apply(model, best[0])
    return best

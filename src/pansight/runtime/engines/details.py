"""What a model decides on the way to its map, brought to the host."""

from typing import Any

import numpy as np
from jaxtyping import Float32

from pansight.errors import InputError
from pansight.merging import Form, MergeSettings
from pansight.models.base import HasEmbeddings, HasInstances, HasSemantics, PanopticModel
from pansight.models.preprocess import Sizes
from pansight.panoptic import PanopticBatch
from pansight.panoptic.instances import Instances
from pansight.runtime.engines.protocol import Output, SemanticMap


def outputs_of(model: PanopticModel) -> frozenset[Output]:
    """What a model can give, its map included."""
    found: set[Output] = {"panoptic"}
    if isinstance(model, HasInstances):
        found.add("instances")
    if isinstance(model, HasSemantics):
        found.add("semantics")
    if isinstance(model, HasEmbeddings):
        found.add("embeddings")
    return frozenset(found)


def instances_of(
    model: PanopticModel, outputs: Any, sizes: Sizes, settings: MergeSettings, form: Form
) -> list[Instances]:
    """The instances of each image, best first."""
    assert isinstance(model, HasInstances)
    return [
        Instances(
            masks.cpu().numpy(),
            boxes.float().cpu().numpy(),
            categories.long().cpu().numpy(),
            scores.float().cpu().numpy(),
        )
        for masks, boxes, categories, scores in model.instances(outputs, sizes, settings, form)
    ]


def semantics_of(model: PanopticModel, outputs: Any, sizes: Sizes, form: Form) -> list[SemanticMap]:
    """The semantic map of each image, -1 where the model sees no stuff."""
    assert isinstance(model, HasSemantics)
    labels = model.semantics(outputs, sizes, form).clamp(min=0).cpu().numpy()
    categories = np.append(-1, model.categories.stuff_indices).astype(np.int32)
    return [
        one[:height, :width] for one, (height, width) in zip(categories[labels], sizes.output, strict=True)
    ]


def embeddings_of(
    model: PanopticModel, outputs: Any, sizes: Sizes, merged: PanopticBatch | None
) -> list[Float32[np.ndarray, "_ _"]]:
    """The vector of each row of a batch's segment tables; `merged` is that batch."""
    assert isinstance(model, HasEmbeddings)
    if merged is None:
        raise InputError("embeddings belong to segments; request panoptic, too")
    return list(model.embeddings(outputs, sizes, merged).float().cpu().numpy())

"""From a model's categories to those of a data set, by name."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pansight.categories import Categories
from pansight.data.class_names import match_categories
from pansight.data.relabelled import translated
from pansight.errors import DataProblemsError
from pansight.panoptic import PanopticMap
from pansight.panoptic.instances import Instances


@dataclass(frozen=True, eq=False)
class Translation:
    """Brings maps of `source` categories to those of `target`.

    `index` [source]: contiguous index in the target of each category, -1 for those that it does not have;
    their segments become void. `unknown` names them.
    """

    source: Categories
    target: Categories
    index: Int64[np.ndarray, "n"]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the source's categories that the target does not have."""
        return tuple(one.name for one, at in zip(self.source, self.index.tolist(), strict=True) if at < 0)

    def __call__(self, panoptic: PanopticMap) -> PanopticMap:
        """The map in the target's categories; segments of unknown ones become void, equal stuff is joined."""
        if self.source == self.target and (self.index == np.arange(len(self.index))).all():
            return panoptic
        places = {old: new if new >= 0 else None for old, new in enumerate(self.index.tolist())}
        return translated(panoptic, places, self.target)

    def instances(self, instances: Instances) -> Instances:
        """The instances in the target's categories, without those of unknown ones."""
        if self.source == self.target and (self.index == np.arange(len(self.index))).all():
            return instances
        categories = self.index[instances.categories]
        known = categories >= 0
        return Instances(
            instances.masks[known], instances.boxes[known], categories[known], instances.scores[known]
        )


def translate(source: Categories, target: Categories) -> Translation:
    """Match a model's categories (`source`) with a data set's (`target`) by name; see `match_categories`.

    The model may know more than the data. Raises DataProblemsError, listing every category of the data that
    the model lacks, with the nearest name that it has, and every one that is a thing for one and stuff for
    the other.
    """
    try:
        places = match_categories(target, source, "the data")
    except DataProblemsError as error:
        raise DataProblemsError(
            f"the model has {source.name} ({len(source)} categories), the data {target.name} "
            f"({len(target)}); match them with --map FILE (`pansight data map` proposes one), "
            "choose another model, or train one on such data",
            error.problems,
        ) from error
    index = np.full(len(source), -1, dtype=np.int64)
    index[list(places.values())] = list(places)
    return Translation(source, target, index)

"""From a model's categories to those of a data set, by name."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64

from pansight.categories import Categories
from pansight.data.class_maps import ClassMap, categories_of, correspond, towards_new
from pansight.data.class_names import match_categories
from pansight.data.relabelled import translated
from pansight.errors import DataProblemsError
from pansight.panoptic import PanopticMap
from pansight.panoptic.instances import Instances


@dataclass(frozen=True, eq=False)
class Translation:
    """Brings maps of `source` categories to those of `target`.

    `index` [source]: contiguous index in the target of each category, -1 for those that it does not have;
    their segments become void. `unknown` names them. `ignored`: what a class map names and the source does
    not have.
    """

    source: Categories
    target: Categories
    index: Int64[np.ndarray, "n"]
    ignored: tuple[str, ...] = ()

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

    def semantics(self, found: Int32[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
        """A semantic map in the target's categories, -1 where they have none."""
        return np.append(self.index, -1).astype(found.dtype)[found]


def translate_by_map(mapping: ClassMap, source: Categories) -> Translation:
    """What a class map makes of a model's categories (`source`); those that it does not name become void.

    Lines are read as `new category: the model's`, or, where the keys are the model's, the other way round;
    see `towards_new`. Things and stuff that become one are stuff. Raises DataError where the map names none
    of the model's categories, or gives one to two.
    """
    mapping = towards_new(mapping, source)
    target = categories_of(mapping, source)
    places = correspond(mapping, target, source).places
    index = [-1 if (new := places[old]) is None else new for old in range(len(source))]
    named = dict.fromkeys(name for sources in mapping.values() for name in sources)
    ignored = tuple(name for name in named if name not in source.names)
    return Translation(source, target, np.array(index, dtype=np.int64), ignored)


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

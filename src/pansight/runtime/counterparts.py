"""In which categories a model is scored on a data set that names or labels others than the model does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pansight.categories import Categories, Category
from pansight.data.class_maps import ClassMap, matched
from pansight.data.class_names import find_name
from pansight.data.dataset import PanopticDataset
from pansight.data.relabelled import Relabelled
from pansight.errors import DataError
from pansight.panoptic.checks import shortened
from pansight.panoptic.labelling import Labelling
from pansight.runtime.translation import Translation, translate

Unmatched = Literal["leave-out", "count"]


@dataclass(frozen=True)
class Counterparts:
    """The categories that are scored, and what the model's and the data's categories become.

    `of_data` and `of_model` give the scored index of each contiguous category, None: its pixels are void, in
    the truth or in the prediction. `notes` say in words what was left out, counted, or ignored.
    """

    model: Categories
    scored: Categories
    of_data: Mapping[int, int | None]
    of_model: Mapping[int, int | None]
    left_out_data: tuple[str, ...] = ()
    left_out_model: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def dataset(self, dataset: PanopticDataset) -> PanopticDataset:
        """The data set in the scored categories."""
        return Relabelled(dataset, self.of_data, self.scored)

    def translation(self) -> Translation:
        """What brings the model's maps to the scored categories."""
        index = [-1 if (new := self.of_model.get(old)) is None else new for old in range(len(self.model))]
        return Translation(self.model, self.scored, np.array(index, dtype=np.int64))


def counterparts(
    model: Categories,
    data: Categories,
    *,
    mapping: ClassMap | None = None,
    labelling: Labelling | None = None,
    unmatched: Unmatched = "leave-out",
) -> Counterparts:
    """Work out which categories of a model are compared with which of a data set.

    Args:
        model, data: their categories.
        mapping: class map, `model's: data's`; several of the model's may be one of the data's, and several of
            the data's one of the model's, which is then scored under the name of the first; None: by name.
        labelling: what the data set labels; only that is scored.
        unmatched: categories that one side alone has: `leave-out`: void in the truth (the data's) or in the
            predictions (the model's); `count`: the data's are scored as missed, the model's as false.

    Raises DataError when nothing is left to be scored; DataProblemsError, without a map, when the data has
    annotated categories that the model lacks.
    """
    annotated = set(range(len(data))) if labelling is None else set(labelling.annotated)
    ignored: tuple[str, ...] = ()
    if mapping is None:
        kept = Categories([data[index] for index in sorted(annotated)], data.name)
        order = dict(enumerate(sorted(annotated)))
        if unmatched == "count":
            found = _by_name(kept, model)
        else:
            index = translate(model, kept).index
            found = [(ours, at) for ours, at in enumerate(index.tolist()) if at >= 0]
        pairs = [(ours, order[at]) for ours, at in found]
    else:
        pairs, ignored = matched(mapping, model, data)
        pairs = [(ours, theirs) for ours, theirs in pairs if theirs in annotated]
    if not pairs:
        raise DataError(
            f"{model.name} and {data.name} share no labelled category; give a class map with --map"
        )
    leaders = _joined(pairs, len(data))
    matched_data = {theirs for _, theirs in pairs}
    lonely_data = sorted(annotated - matched_data)
    matched_model = {ours for ours, _ in pairs}
    lonely_model = [ours for ours in range(len(model)) if ours not in matched_model]
    counted = unmatched == "count"
    chosen = sorted({leaders[theirs] for theirs in matched_data} | (set(lonely_data) if counted else set()))
    items = [data[index] for index in chosen]
    place = {index: position for position, index in enumerate(chosen)}
    of_data: dict[int, int | None] = dict.fromkeys(range(len(data)))
    of_data.update({theirs: place[leaders[theirs]] for theirs in matched_data})
    of_model: dict[int, int | None] = dict.fromkeys(range(len(model)))
    of_model.update({ours: place[leaders[theirs]] for ours, theirs in pairs})
    if counted:
        of_data.update({theirs: place[theirs] for theirs in lonely_data})
        free = 1 + max(int(one.dataset_id) for one in data)
        taken = {one.name for one in items}
        for ours in lonely_model:
            of_model[ours] = len(items)
            name = model.names[ours]
            own = name if name not in taken else f"{name} (model)"
            items.append(Category(own, model[ours].is_thing, free + ours, model[ours].color))
    names_data = tuple(data.names[index] for index in lonely_data)
    names_model = tuple(model.names[index] for index in lonely_model)
    return Counterparts(
        model,
        Categories(items, data.name),
        of_data,
        of_model,
        () if counted else names_data,
        () if counted else names_model,
        tuple(_notes(data, labelling, names_data, names_model, ignored, counted)),
    )


def _by_name(data: Categories, model: Categories) -> list[tuple[int, int]]:
    found = {at: find_name(name, model) for at, name in enumerate(data.names)}
    return [(ours, at) for at, ours in found.items() if ours is not None]


def _joined(pairs: list[tuple[int, int]], count: int) -> list[int]:
    """The category of the data under which each is scored: the first of those that share a model's."""
    leader = list(range(count))

    def head(index: int) -> int:
        while leader[index] != index:
            index = leader[index]
        return index

    by_model: dict[int, int] = {}
    for ours, theirs in pairs:
        first = by_model.setdefault(ours, theirs)
        low, high = sorted((head(first), head(theirs)))
        leader[high] = low
    return [head(index) for index in range(count)]


def _notes(
    data: Categories,
    labelling: Labelling | None,
    lonely_data: tuple[str, ...],
    lonely_model: tuple[str, ...],
    ignored: tuple[str, ...],
    counted: bool,
) -> list[str]:
    notes = []
    if labelling is not None and len(labelling.annotated) < len(data):
        notes.append(
            f"{len(labelling.annotated)} of {len(data)} categories are annotated here (labelled.json)"
        )
    fate = "counted as missed" if counted else "left out: void in the truth"
    if lonely_data:
        notes.append(f"only the data has {shortened(lonely_data)}; {fate}")
    fate = "counted as false" if counted else "left out: predictions of them are void"
    if lonely_model:
        notes.append(f"only the model has {shortened(lonely_model)}; {fate}")
    if ignored:
        notes.append(f"the class map names {shortened(ignored)}, which neither side has; ignored")
    return notes

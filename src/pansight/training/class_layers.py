"""Weights of other categories: rows of equal names are copied, the others start from scratch."""

from typing import NamedTuple

import torch
from torch import Tensor

from pansight.models.base import PanopticModel
from pansight.zoo.strict import State


class TakenOver(NamedTuple):
    """What happened to a model's categories when it took over another's weights."""

    kept: tuple[str, ...]
    """categories whose rows were the other model's, too"""
    fresh: tuple[str, ...]
    """categories that the other model does not know"""

    def line(self, source: str) -> str:
        """One line that says which."""
        total = len(self.kept) + len(self.fresh)
        kept = (
            f"class rows kept from {source}: {', '.join(self.kept) or 'none'} ({len(self.kept)} of {total})"
        )
        return f"{kept}; newly initialised: {', '.join(self.fresh)}" if self.fresh else kept


def plain(name: str) -> str:
    """A category's name without differences of style: case, and how words are joined.

    Example:
        >>> plain("Traffic_Light") == plain("traffic light")
        True
    """
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def take_over(source: PanopticModel, model: PanopticModel) -> tuple[State, TakenOver]:
    """All weights of `source`, but in tensors that grow with the categories only the rows of equal names.

    `model` gives the other rows. Nothing is written into it. A category counts as kept if some of its rows
    are: one that is a thing in one model and stuff in the other has no more in common than its semantics.
    """
    state = dict(source.state_dict())
    fresh = model.state_dict()
    theirs, ours = source.class_rows(), model.class_rows()
    found: set[str] = set()
    for key, labels in ours.items():
        if key not in fresh:
            continue
        if key not in theirs or key not in state or state[key].shape[1:] != fresh[key].shape[1:]:
            state[key] = fresh[key]
            continue
        state[key], same = _rows(state[key], theirs[key], fresh[key], labels)
        found |= same
    for key in theirs.keys() - ours.keys():
        state.pop(key, None)
    names = model.categories.names
    kept = tuple(name for name in names if plain(name) in found)
    return state, TakenOver(kept, tuple(name for name in names if plain(name) not in found))


def _rows(
    old: Tensor, old_labels: tuple[str, ...], new: Tensor, labels: tuple[str, ...]
) -> tuple[Tensor, set[str]]:
    places = {plain(label): place for place, label in enumerate(old_labels)}
    pairs = [(row, places[plain(label)]) for row, label in enumerate(labels) if plain(label) in places]
    result = new.detach().clone()
    if pairs:
        to, given = (torch.tensor(side) for side in zip(*pairs, strict=True))
        result[to] = old[given].to(result.dtype)
    return result, {plain(labels[row].rpartition(": ")[2]) for row, _ in pairs}

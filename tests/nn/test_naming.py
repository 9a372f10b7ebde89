"""Other names in state dicts, and the same model behind them."""

import copy

import pytest
import torch
from torch import nn

from pansight.nn.naming import KeyNames

NAMES = {"0": "first", "0.weight": "kernel", "2": "0"}


def renamed() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    KeyNames(NAMES).install(model)
    return model


def test_the_longest_name_counts_and_the_order_stays() -> None:
    keys = list(renamed().state_dict())
    assert keys[:2] == ["kernel", "first.bias"]
    assert keys[2] == "1.weight"
    # a name may be another module's inner one
    assert keys[-2:] == ["0.weight", "0.bias"]


def test_both_ways_agree() -> None:
    names = KeyNames(NAMES)
    for inner in ("0.weight", "0.bias", "1.running_mean", "2.weight"):
        assert names.inward(names.outward(inner)) == inner


def test_states_travel_inside_other_modules_and_through_copies() -> None:
    outer, other = nn.ModuleDict({"part": renamed()}), nn.ModuleDict({"part": renamed()})
    state = outer.state_dict()
    assert "part.kernel" in state
    for model in (other, copy.deepcopy(other)):
        model.load_state_dict(state)
        assert all(torch.equal(a, b) for a, b in zip(outer.parameters(), model.parameters(), strict=True))
    changed = {key: tensor + 1 for key, tensor in state.items()}
    twin = copy.deepcopy(outer)
    twin.load_state_dict(changed)
    assert not torch.equal(twin["part"][0].weight, outer["part"][0].weight)  # type: ignore[index]


def test_inner_names_are_refused() -> None:
    model = renamed()
    inner = {KeyNames(NAMES).inward(key): tensor for key, tensor in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict(inner)


def test_one_outer_name_cannot_stand_for_two() -> None:
    with pytest.raises(ValueError, match="share"):
        KeyNames({"a": "x", "b": "x"})

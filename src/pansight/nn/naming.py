"""State-dict keys that differ from the attributes behind them, so that each paper's own names hold."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn


class KeyNames:
    """Two-way translation of the keys below one module.

    Args:
        outer: outer name of inner modules or tensors, both with dots, such as
            `{"stem.conv1": "conv1", "stem.conv1.norm": "bn1"}`. The longest fitting name counts; what none
            fits stays as it is.
    """

    def __init__(self, outer: Mapping[str, str]) -> None:
        self._outer = dict(outer)
        self._inner = {name: inner for inner, name in outer.items()}
        if len(self._inner) != len(self._outer):
            raise ValueError("two inner names share an outer one")

    def pairs(self) -> list[tuple[str, str]]:
        """Inner and outer names."""
        return list(self._outer.items())

    def outward(self, key: str) -> str:
        """The key as state dicts have it."""
        return _translated(key, self._outer)

    def inward(self, key: str) -> str:
        """The key as attributes have it."""
        return _translated(key, self._inner)

    def install(self, module: nn.Module) -> None:
        """From now on `module` gives and takes state dicts with outer names, by itself or inside another."""
        # partials, as torch leaves a mark on the hook, which methods cannot bear
        module.register_state_dict_post_hook(partial(_rename_saved, self))
        module.register_load_state_dict_pre_hook(partial(_rename_loaded, self))


def _rename_saved(
    names: KeyNames, module: nn.Module, state: dict[str, Any], prefix: str, metadata: dict[str, Any]
) -> None:
    for key in [key for key in state if key.startswith(prefix)]:
        # taken out and put in again one by one, so the order stays
        state[prefix + names.outward(key.removeprefix(prefix))] = state.pop(key)


def _rename_loaded(
    names: KeyNames, module: nn.Module, state: dict[str, Any], prefix: str, *reports: object
) -> None:
    own = {key: state.pop(key) for key in list(state) if key.startswith(prefix)}
    for key, tensor in own.items():
        state[prefix + names.inward(key.removeprefix(prefix))] = tensor


def _translated(key: str, names: Mapping[str, str]) -> str:
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        name = names.get(".".join(parts[:length]))
        if name is not None:
            return ".".join((name, *parts[length:]))
    return key

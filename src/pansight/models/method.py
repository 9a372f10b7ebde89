"""The record of a method: everything the rest of the library needs to know of its folder.

Each folder of `pansight.models` exports one as `METHOD` in its `method.py`. It is read without torch, so that
listing models stays cheap; the network is imported when the first one is built.
"""

import re
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel

from pansight.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor

    from pansight.models.base import PanopticModel


def no_presets() -> tuple[ModelSpec, ...]:
    """Of a method without named models."""
    return ()


class Method(NamedTuple):
    """How to build one paper's model, which named models it has, and how it may be exported."""

    name: str
    model: str
    """`module:class` of the network, which is built of configuration, categories and preprocessing"""
    config: type[BaseModel]
    """its fields with their defaults; one of them, `merge`, holds the merge settings"""
    presets: Callable[[], tuple[ModelSpec, ...]] = no_presets
    """the models that have a name"""
    may_lack: tuple[str, ...] = ()
    """keys that a weights file may do without, because the configuration gives their values"""
    may_hold: tuple[str, ...] = ("pixel_mean", "pixel_std")
    """keys that a weights file may hold though the model has no use for them"""
    renames: tuple[tuple[str, str], ...] = ()
    """regular expressions and replacements that turn other spellings of keys into ours"""
    drops: tuple[str, ...] = ()
    """ends of keys that files may hold and that are left out"""
    unread: tuple[str, ...] = ()
    """regular expressions of more such keys"""
    float_parts: tuple[str, ...] = ()
    """parts of node names that keep their precision when an exported network is quantised"""
    whole_any_size: bool = False
    """whether network and merge in one graph serve any input size; else the size is fixed at export"""

    def model_class(self) -> "type[PanopticModel]":
        """The network's class; imports torch."""
        module, _, name = self.model.partition(":")
        found: type[PanopticModel] = getattr(import_module(module), name)
        return found

    def adapted(self, state: "dict[str, Tensor]") -> "dict[str, Tensor]":
        """A file's tensors under our keys."""
        for pattern, replacement in self.renames:
            state = {re.sub(pattern, replacement, key): tensor for key, tensor in state.items()}
        return {
            key: tensor
            for key, tensor in state.items()
            if not key.endswith(self.drops) and not any(re.match(pattern, key) for pattern in self.unread)
        }

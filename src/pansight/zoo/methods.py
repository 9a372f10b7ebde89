"""The methods by name, and the building of a model from its parts."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from pansight.categories import Categories
from pansight.errors import CheckpointError
from pansight.models.base import PanopticModel
from pansight.models.dense_detection import DenseDetection, DenseDetectionConfig
from pansight.models.epsnet import EPSNet, EPSNetConfig
from pansight.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.zoo.reasons import first_line
from pansight.zoo.strict import State


class Method(NamedTuple):
    """How to build one paper's model, and in what its released files may differ from it."""

    model: Callable[[Any, Categories, Preprocess], PanopticModel]
    config: type[BaseModel]
    may_lack: tuple[str, ...] = ()
    """keys that a file may do without, because the configuration gives their values"""
    may_hold: tuple[str, ...] = ("pixel_mean", "pixel_std")
    """keys that a file may hold though the model has no use for them"""
    renames: tuple[tuple[str, str], ...] = ()
    """regular expressions and replacements that make our keys of other spellings"""
    drops: tuple[str, ...] = ()
    """ends of keys that files may hold and that are left out"""
    unread: tuple[str, ...] = ()
    """regular expressions of more such keys"""

    def adapted(self, state: State) -> State:
        """A file's tensors under our keys."""
        for pattern, replacement in self.renames:
            state = {re.sub(pattern, replacement, key): tensor for key, tensor in state.items()}
        return {
            key: tensor
            for key, tensor in state.items()
            if not key.endswith(self.drops) and not any(re.match(pattern, key) for pattern in self.unread)
        }


METHODS: dict[str, Method] = {
    "yoso": Method(YOSO, YOSOConfig, may_lack=("yoso_head.criterion.empty_weight",)),
    "dense_detection": Method(
        DenseDetection,
        DenseDetectionConfig,
        # torchvision since 0.13 wraps the pyramid's convolutions; its unfrozen norms count batches
        renames=((r"^model\.", ""), (r"\b(inner|layer)_blocks\.(\d)\.0\.", r"\1_blocks.\2.")),
        drops=(".num_batches_tracked",),
    ),
    "panoptic_fcn": Method(PanopticFCN, PanopticFCNConfig),
    "epsnet": Method(
        EPSNet,
        EPSNetConfig,
        drops=(".num_batches_tracked",),
        unread=(
            # what the released loader throws away of older files: second names, and levels that are not used
            r"backbone\.layer(?!s)",
            r"fpn\.downsample_layers\.[2-9]",
            # made with the normal fusion, and never called
            r"fusion_module\.fusion_subnet\.",
        ),
    ),
}


def find_method(name: str) -> Method:
    """The method called `name`. Raises CheckpointError, naming those that exist."""
    try:
        return METHODS[name]
    except KeyError:
        raise CheckpointError(f"no method {name!r}; this Pansight has {', '.join(METHODS)}") from None


class _NoDraws(TorchFunctionMode):
    """Makes zeros of the random draws of initialisers.

    Not just any memory: `trunc_normal_` draws again until every value is within its range.
    """

    DRAWS = (Tensor.normal_, Tensor.uniform_)
    INITIALISERS = (init.normal_, init.uniform_, init.kaiming_uniform_)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in self.DRAWS:
            return args[0].zero_()
        if func in self.INITIALISERS:  # these ask before they draw, and by keyword
            tensor = kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
            return tensor.detach().zero_()
        return func(*args, **(kwargs or {}))


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Models built inside have zeros for random parameters, take little time, and leave the generator alone.

    For models whose every parameter is loaded afterwards, or of which only the shapes matter. (The meta
    device would do too, but its first use imports the compiler, which takes seconds.)
    """
    with _NoDraws():
        yield


def construct(
    method: str, config: BaseModel, categories: Categories, preprocess: Preprocess, *, blank: bool = False
) -> PanopticModel:
    """Build a model from its parts; `blank` leaves zeros in place of random parameters.

    Raises CheckpointError when torch cannot build what the configuration asks for.
    """
    build = find_method(method).model
    try:
        if not blank:
            return build(config, categories, preprocess)
        with without_initialisation():
            return build(config, categories, preprocess)
    except (RuntimeError, ValueError, AssertionError, MemoryError, OverflowError) as error:
        raise CheckpointError(
            f"this {method} configuration cannot be built ({first_line(error)}); correct it"
        ) from error


def parameter_count(model: torch.nn.Module) -> int:
    """How many numbers training would change, were nothing frozen."""
    return sum(parameter.numel() for parameter in model.parameters())

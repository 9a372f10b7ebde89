"""The methods by name, and the building of a model from its parts."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from pansight.categories import Categories
from pansight.errors import CheckpointError
from pansight.models.dense_detection.config import DenseDetectionConfig
from pansight.models.epsnet.config import EPSNetConfig
from pansight.models.panoptic_fcn.config import PanopticFCNConfig
from pansight.models.preprocess import Preprocess
from pansight.models.yoso.config import YOSOConfig
from pansight.zoo.reasons import first_line

# The networks, and torch with them, are imported when the first one is built: listing models needs neither.
if TYPE_CHECKING:
    import torch

    from pansight.models.base import PanopticModel
    from pansight.zoo.strict import State

Build = Callable[[Any, Categories, Preprocess], "PanopticModel"]


class Method(NamedTuple):
    """How to build one paper's model, and in what its released files may differ from it."""

    model: Build
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

    def adapted(self, state: "State") -> "State":
        """A file's tensors under our keys."""
        for pattern, replacement in self.renames:
            state = {re.sub(pattern, replacement, key): tensor for key, tensor in state.items()}
        return {
            key: tensor
            for key, tensor in state.items()
            if not key.endswith(self.drops) and not any(re.match(pattern, key) for pattern in self.unread)
        }


def _yoso(config: YOSOConfig, categories: Categories, preprocess: Preprocess) -> "PanopticModel":
    from pansight.models.yoso.model import YOSO

    return YOSO(config, categories, preprocess)


def _dense_detection(
    config: DenseDetectionConfig, categories: Categories, preprocess: Preprocess
) -> "PanopticModel":
    from pansight.models.dense_detection.model import DenseDetection

    return DenseDetection(config, categories, preprocess)


def _panoptic_fcn(
    config: PanopticFCNConfig, categories: Categories, preprocess: Preprocess
) -> "PanopticModel":
    from pansight.models.panoptic_fcn.model import PanopticFCN

    return PanopticFCN(config, categories, preprocess)


def _epsnet(config: EPSNetConfig, categories: Categories, preprocess: Preprocess) -> "PanopticModel":
    from pansight.models.epsnet.model import EPSNet

    return EPSNet(config, categories, preprocess)


METHODS: dict[str, Method] = {
    "yoso": Method(_yoso, YOSOConfig, may_lack=("yoso_head.criterion.empty_weight",)),
    "dense_detection": Method(
        _dense_detection,
        DenseDetectionConfig,
        # torchvision since 0.13 wraps the pyramid's convolutions; its unfrozen norms count batches
        renames=((r"^model\.", ""), (r"\b(inner|layer)_blocks\.(\d)\.0\.", r"\1_blocks.\2.")),
        drops=(".num_batches_tracked",),
    ),
    "panoptic_fcn": Method(_panoptic_fcn, PanopticFCNConfig),
    "epsnet": Method(
        _epsnet,
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


def construct(
    method: str, config: BaseModel, categories: Categories, preprocess: Preprocess, *, blank: bool = False
) -> "PanopticModel":
    """Build a model from its parts; `blank` leaves zeros in place of random parameters.

    Raises CheckpointError when torch cannot build what the configuration asks for.
    """
    build = find_method(method).model
    try:
        if not blank:
            return build(config, categories, preprocess)
        from pansight.zoo.blank import without_initialisation

        with without_initialisation():
            return build(config, categories, preprocess)
    except (RuntimeError, ValueError, AssertionError, MemoryError, OverflowError) as error:
        raise CheckpointError(
            f"this {method} configuration cannot be built ({first_line(error)}); correct it"
        ) from error


def parameter_count(model: "torch.nn.Module") -> int:
    """How many numbers training would change, were nothing frozen."""
    return sum(parameter.numel() for parameter in model.parameters())

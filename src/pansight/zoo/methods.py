"""The methods by name, and the building of a model from its parts."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pansight.categories import Categories
from pansight.errors import CheckpointError, InputError
from pansight.models.method import Method
from pansight.models.preprocess import Preprocess
from pansight.zoo.reasons import first_line

# The networks, and torch with them, are imported when the first one is built: listing models needs neither.
if TYPE_CHECKING:
    import torch

    from pansight.models.base import PanopticModel

FOLDERS = ("yoso", "dense_detection", "panoptic_fcn", "epsnet")
"""Folders of `pansight.models` that hold a method."""

METHODS: dict[str, Method] = {
    name: import_module(f"pansight.models.{name}.method").METHOD for name in FOLDERS
}
"""The methods by name: those of the package, and those that `register` added."""


def register(method: Method) -> None:
    """Add your own method: it is trained, run, saved, loaded and exported like the others.

    Raises InputError if another method has its name.

    Example:
        >>> register(find_method("yoso"))  # registering the same record again is fine
        >>> register(find_method("yoso")._replace(may_lack=()))
        Traceback (most recent call last):
        ...
        pansight.errors.InputError: method 'yoso' already exists; give yours another name
    """
    if METHODS.get(method.name, method) != method:
        raise InputError(f"method {method.name!r} already exists; give yours another name")
    METHODS[method.name] = method


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
    build: Any = find_method(method).model_class()
    parts = (config, categories, preprocess)
    try:
        if not blank:
            return build(*parts)
        from pansight.zoo.blank import without_initialisation

        with without_initialisation():
            return build(*parts)
    except (RuntimeError, ValueError, AssertionError, MemoryError, OverflowError) as error:
        raise CheckpointError(
            f"this {method} configuration cannot be built ({first_line(error)}); correct it"
        ) from error


def parameter_count(model: "torch.nn.Module") -> int:
    """Number of trainable parameters, with nothing frozen."""
    return sum(parameter.numel() for parameter in model.parameters())

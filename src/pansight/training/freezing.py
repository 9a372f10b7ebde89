"""Parts of a network that are not trained."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from pansight.errors import InputError
from pansight.models.base import PanopticModel
from pansight.nn.features import Backbone

WORDS = ("backbone", "all")
"""parts that have a name: the backbone, and everything but what grows with the categories"""


class Frozen:
    """The named parts of a model, which are not trained and gather no statistics.

    Args:
        model: whose parameters are frozen.
        parts: words of WORDS, or patterns of parameters' names such as `yoso_neck.*`.

    Raises InputError for a pattern that matches no parameter.

    Attributes:
        parameters: number of frozen parameters.
    """

    def __init__(self, model: PanopticModel, parts: Sequence[str]) -> None:
        self.parameters = 0
        self._norms: list[nn.Module] = []
        if not parts:
            return
        names = self._chosen(model, parts)
        for name, parameter in model.named_parameters():
            if name in names:
                parameter.requires_grad_(False)
                self.parameters += parameter.numel()
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise InputError(f"--freeze {' '.join(parts)} leaves nothing to train; freeze less")
        for path, module in model.named_modules():
            own = {f"{path}.{name}" for name, _ in module.named_parameters(recurse=False)}
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and own and own <= names:
                self._norms.append(module)

    def hold(self) -> None:
        """Keep frozen norms as they are: to be called once the model was put into training mode."""
        for norm in self._norms:
            norm.eval()

    @staticmethod
    def _chosen(model: PanopticModel, parts: Sequence[str]) -> set[str]:
        every = [name for name, _ in model.named_parameters()]
        chosen: set[str] = set()
        for part in parts:
            if part == "backbone":
                inside = {
                    id(parameter)
                    for module in model.modules()
                    if isinstance(module, Backbone)
                    for parameter in module.parameters()
                }
                found = {name for name, parameter in model.named_parameters() if id(parameter) in inside}
            elif part == "all":
                found = set(every) - model.class_rows().keys()
            else:
                found = {name for name in every if fnmatchcase(name, part)}
            if not found:
                tops = ", ".join(sorted({f"{name.split('.')[0]}.*" for name in every}))
                raise InputError(f"--freeze {part} matches no parameter; use {', '.join(WORDS)}, or {tops}")
            chosen |= found
        return chosen

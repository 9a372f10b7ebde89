"""Any network of timm (extra `timm`) that has features at strides 4, 8, 16 and 32."""

import re
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from pansight.files import require_extra
from pansight.nn.conv import Norm
from pansight.nn.features import Backbone, InputScale, Pyramid

PREFIX = "timm:"


class TimmFeatures(Backbone):
    """`timm.create_model(name, features_only=True)` under our contract, with fresh weights.

    Args:
        name: of timm's, such as `mobilenetv3_large_100`.
        norm: `frozen` keeps the statistics and factors of its batch norms as they are.

    Raises ValueError for a name that timm does not know or a network without the four strides, and
    InstallationError where timm is not installed.
    """

    def __init__(self, name: str, *, norm: Norm = "frozen") -> None:
        super().__init__()
        require_extra("timm", "timm")
        import timm

        if name not in timm.list_models():
            raise ValueError(f"timm has no network {name!r}; see timm.list_models()")
        network: Any = timm.create_model(name, pretrained=False, features_only=True)
        reductions = network.feature_info.reduction()
        missing = [stride for stride in self.strides if stride not in reductions]
        if missing:
            raise ValueError(f"{name} of timm has no features at stride {missing[0]}; take another network")
        self.network = network
        # of several features at one stride, the last knows most
        self._places = [max(i for i, r in enumerate(reductions) if r == s) for s in self.strides]
        self.channels: tuple[int, ...] = tuple(network.feature_info.channels()[i] for i in self._places)
        configuration = timm.get_pretrained_cfg(name)
        if configuration is not None:
            mean, std = ([255 * float(x) for x in part] for part in (configuration.mean, configuration.std))
            self.input_scale = InputScale((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
        self.frozen = norm == "frozen"
        if self.frozen:
            for module in self._norms():
                module.requires_grad_(False)
        self.train(self.training)

    def _norms(self) -> list[nn.Module]:
        return [one for one in self.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]

    def train(self, mode: bool = True) -> "TimmFeatures":
        """As any module, but frozen norms stay in evaluation mode."""
        super().train(mode)
        if self.frozen:
            for module in self._norms():
                module.train(False)
        return self

    def parts(self) -> tuple[nn.Module, ...]:
        """What leads to each map, as far as timm's layers tell; the stem is what comes before the first."""
        returned = getattr(self.network, "return_layers", None)
        if not isinstance(returned, dict):
            return self.network, *(nn.ModuleList() for _ in self.strides)
        ends = [list(returned)[place] for place in self._places]
        groups: list[list[nn.Module]] = [[]]
        for name, child in self.network.named_children():
            groups[-1].append(child)
            if name in ends and len(groups) < len(ends):
                groups.append([])
        # the stem is all but the last module before the first map
        stem, first = groups[0][:-1], groups[0][-1:]
        return tuple(nn.ModuleList(part) for part in (stem, first, *groups[1:]))

    def matching(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of a state dict of timm's whole network, what this one has, under its keys."""
        own = self.state_dict()
        # features_only joins the names of nested stages by an underscore
        given = {f"network.{key}": tensor for key, tensor in state.items()}
        found = {}
        for key in own:
            dotted = re.sub(r"^network\.([a-z]+)_(\d+)\.", r"network.\1.\2.", key)
            source = key if key in given else dotted
            if source in given:
                found[key] = given[source]
        return found

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Pyramid:
        found = self.network(images)
        return Pyramid(*(found[place] for place in self._places))

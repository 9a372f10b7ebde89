"""The backbone that a method's configuration names."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, runtime_checkable

from pydantic import AfterValidator

from pansight.nn.backbone_names import backbone_names, is_backbone

if TYPE_CHECKING:
    from pansight.nn.features import Backbone


def _known(name: str) -> str:
    if not is_backbone(name):
        raise ValueError(f"no backbone {name!r}; use one of {', '.join(backbone_names())}, or timm:NAME")
    return name


BackboneName = Annotated[str, AfterValidator(_known)]
"""`resnet` (of the configured depth), or a name of `pansight.nn.backbones`"""


@runtime_checkable
class HasBackbone(Protocol):
    """The backbone options of every method's configuration."""

    @property
    def backbone(self) -> str: ...

    @property
    def depth(self) -> Literal[18, 34, 50, 101]: ...

    @property
    def width(self) -> int: ...

    @property
    def backbone_norm(self) -> Literal["frozen", "batch"]: ...

    @property
    def backbone_eps(self) -> float: ...


def backbone_of(
    config: HasBackbone, *, stride_in_1x1: bool = False, deform_stages: Collection[int] = ()
) -> "Backbone":
    """The backbone of a configuration, with fresh weights. Raises ValueError for what cannot be built."""
    from pansight.nn.backbones import make_backbone

    return make_backbone(
        config.backbone,
        depth=config.depth,
        width=config.width,
        norm=config.backbone_norm,
        eps=config.backbone_eps,
        stride_in_1x1=stride_in_1x1,
        deform_stages=deform_stages,
    )

"""What every backbone gives: four maps, and how its images must be normalised."""

from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from pansight.nn.naming import KeyNames


class Pyramid(NamedTuple):
    """Feature maps at strides 4, 8, 16 and 32."""

    res2: Float[Tensor, "b c2 h4 w4"]
    res3: Float[Tensor, "b c3 h8 w8"]
    res4: Float[Tensor, "b c4 h16 w16"]
    res5: Float[Tensor, "b c5 h32 w32"]


class InputScale(NamedTuple):
    """The input normalisation of a backbone's ImageNet weights: (x - mean) / std of 0..255, channels in
    order."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: Literal["rgb", "bgr"] = "rgb"


IMAGENET = InputScale((123.675, 116.280, 103.530), (58.395, 57.120, 57.375))
"""the statistics of ImageNet itself, as torchvision's and timm's weights expect"""


class Backbone(nn.Module):
    """A network that makes four feature maps of images: the contract that methods build on.

    Attributes:
        channels: of the four maps, fine to coarse.
        strides: of the maps; a map of stride s has ceil(side / s) rows and columns.
        input_scale: the normalisation that its ImageNet weights expect.
        key_names: what state dicts call its parts; nothing but its own names unless a method renames them.
    """

    channels: tuple[int, ...]
    strides: tuple[int, int, int, int] = (4, 8, 16, 32)
    input_scale: InputScale = IMAGENET

    def __init__(self) -> None:
        super().__init__()
        self.key_names = KeyNames({})

    def parts(self) -> tuple[nn.Module, ...]:
        """The network in five pieces from the front on: the stem, then what leads to each map."""
        raise NotImplementedError

    def freeze(self, count: int) -> None:
        """Freeze the first `count` of the parts: 1 is the stem, 2 the first stage as well."""
        for part in self.parts()[:count]:
            part.requires_grad_(False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Pyramid:
        raise NotImplementedError

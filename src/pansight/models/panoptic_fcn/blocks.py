"""The convolutions that all heads are made of, with or without learned offsets."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.nn.coordinates import coordinate_channels
from pansight.nn.deform import ModulatedDeformConv2d

KEPT_PLANES = 8
"""map sizes of which a `PlaneConv` remembers the coordinates' part: more than an image has levels"""


class GroupNormConv(nn.Conv2d):
    """3x3 convolution without bias, then group norm; keys `weight` and `norm.*`."""

    def __init__(self, in_channels: int, out_channels: int, group: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(out_channels // group, out_channels)

    def forward(self, input: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        return self.norm(super().forward(input))


class _Deformed(ModulatedDeformConv2d):
    """The deformable convolution proper, with its norm where it has one."""

    def __init__(self, in_channels: int, out_channels: int, group: int | None) -> None:
        super().__init__(in_channels, out_channels, bias=group is None)
        self.norm = None if group is None else nn.GroupNorm(out_channels // group, out_channels)

    def forward(
        self,
        x: Float[Tensor, "b i h w"],
        offsets: Float[Tensor, "b k2 h w"],
        mask: Float[Tensor, "b k h w"],
    ) -> Float[Tensor, "b o h w"]:
        y = super().forward(x, offsets, mask)
        return y if self.norm is None else self.norm(y)


class DeformConv(nn.Module):
    """3x3 modulated deformable convolution that finds its own offsets; keys `offset_mask_conv`, `dcnv2`.

    Offsets and masks start random, not at zero, as in the released code. Without a `group` there is no norm,
    but a bias.
    """

    def __init__(self, in_channels: int, out_channels: int, group: int | None) -> None:
        super().__init__()
        self.offset_mask_conv = nn.Conv2d(in_channels, 27, 3, padding=1)
        self.dcnv2 = _Deformed(in_channels, out_channels, group)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        offsets, mask = self.offset_mask_conv(x).split((18, 9), dim=1)
        return self.dcnv2(x, offsets, mask.sigmoid())


def convolution(in_channels: int, out_channels: int, group: int | None, deform: bool) -> nn.Module:
    """One layer of a head: 3x3, plain or deformable, with group norm or (no `group`) a bias."""
    if deform:
        return DeformConv(in_channels, out_channels, group)
    if group is None:
        return nn.Conv2d(in_channels, out_channels, 3, padding=1)
    return GroupNormConv(in_channels, out_channels, group)


class Tower(nn.Module):
    """Convolutions with a ReLU behind each; keys `{name}_head_{1, 2, ...}`."""

    def __init__(
        self, name: str, in_channels: int, out_channels: int, layers: int, group: int | None, deform: bool
    ) -> None:
        super().__init__()
        for number in range(1, layers + 1):
            layer = convolution(in_channels, out_channels, group, deform)
            self.add_module(f"{name}_head_{number}", layer)
            in_channels = out_channels

    def layers(self) -> Iterator[nn.Module]:
        """The convolutions in order."""
        yield from self.children()

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        for layer in self.layers():
            x = F.relu(layer(x))
        return x

    def split_coordinates(self) -> None:
        """Take coordinates, the last two channels, out of what the first convolution (a plain one) reads."""
        name, first = next(self.named_children())
        assert isinstance(first, nn.Conv2d)
        plane = PlaneConv(first)
        norm = [first.norm] if isinstance(first, GroupNormConv) else []
        setattr(self, name, nn.Sequential(plane, *norm))


class PlaneConv(nn.Module):
    """A trained 3x3 convolution of features and coordinates, given the features alone. For inference.

    What coordinates (and the bias) contribute depends on the map's size alone and is remembered, in the
    weights' own precision.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        weight = convolution.weight.detach()
        self.weight = nn.Parameter(weight[:, :-2].clone(), requires_grad=False)
        self.planes = nn.Parameter(weight[:, -2:].clone(), requires_grad=False)
        bias = convolution.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)
        self._known: dict[tuple[object, ...], Tensor] = {}

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        y = F.conv2d(x, self.weight, padding=1)
        return y + self._plane(x).to(y.dtype)

    def _plane(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "1 o h w"]:
        # a constant there, or as good as one
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if torch.compiler.is_compiling() or tracing:
            return self._worked_out(x)
        key = (*x.shape[2:], x.device, self.planes.dtype)
        known = self._known
        plane = known.get(key)
        if plane is None:
            if len(known) >= KEPT_PLANES:
                known = {}
            # the next operation may need more than the half precision of an autocast region
            with torch.autocast(x.device.type, enabled=False):
                plane = self._worked_out(x)
            # another dictionary, not a change of this one: threads may share the model
            self._known = {**known, key: plane}
        return plane

    def _worked_out(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "1 o h w"]:
        like = x.new_empty((1, 1, *x.shape[2:]), dtype=self.planes.dtype)
        coordinates = coordinate_channels(like).flip(1).contiguous(memory_format=torch.channels_last)
        return F.conv2d(coordinates, self.planes, self.bias, padding=1)

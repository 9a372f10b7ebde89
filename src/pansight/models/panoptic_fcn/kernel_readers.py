"""How a kernel is read from a map: at one cell, or over a region."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.nn.losses import at_least_float32

TAPS = 9


class KernelReader(ABC):
    """What is read is float32 at least, and an affine embedding makes a kernel of it."""

    @abstractmethod
    def at(self, maps: Float[Tensor, "b c h w"], cells: Int[Tensor, "b n"]) -> Float[Tensor, "b n r"]:
        """What stands at cells, counted row by row."""

    @abstractmethod
    def over(
        self, maps: Float[Tensor, "b c h w"], regions: Bool[Tensor, "b s h w"]
    ) -> Float[Tensor, "b s r"]:
        """The sum over each region, divided by the number of all cells of the map."""


class PlainReader(KernelReader):
    """Of the kernel head's finished maps."""

    def at(self, maps: Float[Tensor, "b c h w"], cells: Int[Tensor, "b n"]) -> Float[Tensor, "b n c"]:
        """See KernelReader."""
        chosen = maps.flatten(2).gather(2, cells[:, None].expand(-1, maps.shape[1], -1))
        return at_least_float32(chosen.transpose(1, 2))

    def over(
        self, maps: Float[Tensor, "b c h w"], regions: Bool[Tensor, "b s h w"]
    ) -> Float[Tensor, "b s c"]:
        """See KernelReader; half precision would overflow in the sums."""
        rows = at_least_float32(maps).flatten(2).transpose(1, 2)
        return regions.flatten(2).to(rows.dtype) @ rows / rows.shape[1]


class PatchReader(KernelReader):
    """Of the maps before the kernel head's last convolution: what it would see of them.

    Reads the nine cells around (row by row, 0 beyond the border) and one number more, by which the
    convolution's bias counts: 1 at a cell, a region's share of all cells. So that convolution and the
    embedding are one product, done only for what was read.
    """

    def at(self, maps: Float[Tensor, "b c h w"], cells: Int[Tensor, "b n"]) -> Float[Tensor, "b n r"]:
        """See KernelReader."""
        _, channels, height, width = maps.shape
        steps = torch.arange(-1, 2, device=maps.device)
        y = (cells // width)[..., None] + steps.repeat_interleave(3)
        x = (cells % width)[..., None] + steps.repeat(3)
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        place = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
        patches = maps.flatten(2).gather(2, place.flatten(1)[:, None].expand(-1, channels, -1))
        patches = at_least_float32(patches.transpose(1, 2)).unflatten(1, (-1, TAPS)) * inside[..., None]
        return F.pad(patches.flatten(2), (0, 1), value=1.0)

    def over(
        self, maps: Float[Tensor, "b c h w"], regions: Bool[Tensor, "b s h w"]
    ) -> Float[Tensor, "b s r"]:
        """See KernelReader. A tap's sum over a region is the map's sum over the region, moved back."""
        height, width = maps.shape[2:]
        rows = at_least_float32(maps).flatten(2).transpose(1, 2)
        here = regions.to(rows.dtype)
        around = F.pad(here, (1, 1, 1, 1))
        moved = torch.stack(
            [around[..., 2 - y : 2 - y + height, 2 - x : 2 - x + width] for y in range(3) for x in range(3)],
            dim=2,
        )
        sums = moved.flatten(3).flatten(1, 2) @ rows
        area = here.sum((2, 3))[..., None]
        return torch.cat((sums.unflatten(1, (-1, TAPS)).flatten(2), area), dim=2) / (height * width)

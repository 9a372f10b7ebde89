"""Maps brought to the size of the output, one per image at a time, whatever the runtime: the fixed form's
way.

Bilinear interpolation as every runtime has it (`F.interpolate`, ONNX Resize), so that graphs hold two such
nodes per map at most, and N full-size masks never exist.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from pansight.merging.sizes import Sizes


def interpolated(
    maps: Float[Tensor, "b n h w"], padded: tuple[int, int], valid: tuple[int, int], output: tuple[int, int]
) -> Float[Tensor, "b n H W"]:
    """Upsample to `padded`, keep the first `valid`, resize these to `output`: the plain form, all at once."""
    if not _known_equal((maps.shape[2], maps.shape[3]), padded):
        maps = F.interpolate(maps, size=padded, mode="bilinear", align_corners=False)
    if not _known_equal(valid, padded):
        maps = maps[:, :, : valid[0], : valid[1]]
    if _known_equal(valid, output):
        return maps
    return F.interpolate(maps, size=output, mode="bilinear", align_corners=False)


def _known_equal(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes are the same; of symbols of a graph nobody asks: the steps then change nothing."""
    if one is other:
        return True
    return not any(isinstance(side, torch.SymInt) for side in (*one, *other)) and one == other


class Upsampling:
    """From maps of the network to maps of the output, for images of any sizes in one batch.

    Args:
        sizes: one entry of `valid` and `output` may stand for every image, however many there are.
        outside: the value beyond an image's own output.
    """

    def __init__(self, sizes: Sizes, outside: float) -> None:
        self.sizes = sizes
        self.outside = outside

    def __call__(self, maps: Float[Tensor, "b h w"]) -> Float[Tensor, "b H W"]:
        """One map per image, in single precision."""
        padded, valid, output = self.sizes
        maps = maps.float()[:, None]
        if self.sizes.uniform():
            return interpolated(maps, padded, valid[0], output[0])[:, 0]
        large = maps.new_full((len(maps), *self.sizes.largest()), self.outside)
        for image, (own, (height, width)) in enumerate(zip(valid, output, strict=True)):
            large[image, :height, :width] = interpolated(maps[image, None], padded, own, (height, width))[
                0, 0
            ]
        return large

    def inside(self, device: torch.device) -> Float[Tensor, "b H W"] | None:
        """1 where an image's map lies in the common batch, else 0; None: everywhere."""
        if self.sizes.uniform():
            return None
        inside = torch.zeros(len(self.sizes.output), *self.sizes.largest(), device=device)
        for image, (height, width) in zip(inside, self.sizes.output, strict=True):
            image[:height, :width] = 1
        return inside


def pixels(mask: Float[Tensor, "b H W"]) -> Int[Tensor, " b"]:
    """How many ones each mask of zeros and ones has; rows are added up as floats, exactly."""
    return mask.sum(2).to(torch.int32).sum(1, dtype=torch.int32)


def histogram(
    codes: Int[Tensor, "b H W"], length: int, inside: Float[Tensor, "b H W"] | None = None
) -> Int[Tensor, "b n"]:
    """How often each code, 0..length - 1, stands in each image."""
    codes = codes.flatten(1)
    amounts = torch.ones_like(codes) if inside is None else inside.flatten(1).to(torch.int32)
    return codes.new_zeros(codes.shape[0], length).scatter_add(1, codes.long(), amounts)


def looked_up(table: Int[Tensor, "b n"], codes: Int[Tensor, "b H W"]) -> Int[Tensor, "b H W"]:
    """What each image's table says of its codes."""
    return table.gather(1, codes.flatten(1).long()).view(codes.shape)

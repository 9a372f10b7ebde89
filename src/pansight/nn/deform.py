"""Modulated deformable convolution in pure torch (Zhu et al., Deformable ConvNets v2, CVPR 2019).

Sampling is done with `grid_sample`, which every exporter and every device knows.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

# Sampled columns hold kernel^2 times the input; above this many floats rows are done in turns, which
# bounds memory (16 Mi floats = 64 MiB) and keeps a CPU's caches warm. Shapes decide, never data.
COLUMN_LIMIT = 1 << 24


class ModulatedDeformConv2d(nn.Module):
    """k x k convolution that reads at learned offsets and weighs each tap, one deformable group, "same" size.

    `offsets` interleaves the taps: channel 2k is dy, 2k + 1 is dx of tap k = i * kernel + j, in pixels of
    the input; `mask` (0..1) has one channel a tap. Reads outside the map give 0, corner by corner. Equal to
    torchvision.ops.deform_conv2d to rounding.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, *, bias: bool = False) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        offsets: Float[Tensor, "b k2 h w"],
        mask: Float[Tensor, "b k h w"],
    ) -> Float[Tensor, "b o h w"]:
        batch, channels, height, width = x.shape
        kernel = self.kernel_size
        taps = kernel * kernel
        reach = kernel // 2
        steps = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
        rows = torch.arange(height, device=x.device, dtype=x.dtype)
        columns = torch.arange(width, device=x.device, dtype=x.dtype)
        offsets = offsets.reshape(batch, taps, 2, height, width)
        y = offsets[:, :, 0] + steps.repeat_interleave(kernel)[:, None, None] + rows[:, None]
        x_ = offsets[:, :, 1] + steps.repeat(kernel)[:, None, None] + columns
        # pixel centres to grid_sample's -1..1 (align_corners=False)
        grid = torch.stack(((2 * x_ + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)
        weight = self.weight.reshape(self.weight.shape[0], channels * taps)

        turns = min(height, math.ceil(batch * channels * taps * height * width / COLUMN_LIMIT))
        step = math.ceil(height / turns)
        out = []
        for top in range(0, height, step):
            part = grid[:, :, top : top + step]
            lines = part.shape[2]
            sampled = F.grid_sample(
                x,
                part.reshape(batch, taps * lines, width, 2),
                mode="bilinear",
                padding_mode="zeros",
                align_corners=False,
            )
            sampled = sampled.reshape(batch, channels, taps, lines, width)
            sampled = sampled * mask[:, None, :, top : top + step]
            # bmm with a broadcast weight, not matmul: matmul would copy the columns to fold the batch in
            column = sampled.reshape(batch, channels * taps, lines * width)
            out.append(torch.bmm(weight.expand(batch, -1, -1), column).reshape(batch, -1, lines, width))
        result = out[0] if len(out) == 1 else torch.cat(out, dim=2)
        return result if self.bias is None else result + self.bias[:, None, None]

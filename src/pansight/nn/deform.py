"""Modulated deformable convolution in pure torch (Zhu et al., Deformable ConvNets v2, CVPR 2019).

Three forms of the same sums. `grid_sample` runs, trains and exports everywhere. On the CPU, without
gradients, each tap of each pixel is instead one weighted sum of four rows of a table of pixels, which
`embedding_bag` does in one pass: about twice as fast on large maps. Exported graphs may ask for four plain
gathers from that table: OpenVINO runs them in half the time of its GridSample, and they are right where
GridSample is missing or broken (WebGPU, some fusions of TensorRT). `lower_deformable` sets the form;
`LOWERINGS` in `pansight.export.conversion` says which one each target gets (ONNX: `grid_sample`).
"""

import math
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.nn.conv import Norm, folded, make_norm

OFFSET_CHANNELS = 27
"""of the convolution that finds offsets (18) and mask logits (9) of a 3x3"""

# Sampled columns hold kernel^2 times the input; above this many floats rows are done in turns, which
# bounds memory (16 Mi floats = 64 MiB) and keeps a CPU's caches warm. Shapes decide, never data.
COLUMN_LIMIT = 1 << 24

Lowering: TypeAlias = Literal["auto", "grid", "gather"]
"""`auto`: whatever suits the device and whether gradients are wanted; `grid`, `gather`: that form and no
other, the whole map in one go, so that sizes may be symbols of an exported graph"""

Taps = Float[Tensor, "b r w k"]
"""one number a tap of each pixel of some rows"""


class ModulatedDeformConv2d(nn.Module):
    """k x k convolution that reads at learned offsets and weighs each tap, one deformable group, "same" size.

    `offsets` interleaves the taps: channel 2k is dy, 2k + 1 is dx of tap k = i * kernel + j, in pixels of
    the input; `mask` (0..1) has one channel per tap. Reads outside the map give 0, corner by corner. Equal to
    torchvision.ops.deform_conv2d to rounding.
    """

    _rows: Tensor | None
    lowering: Lowering = "auto"

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, *, bias: bool = False
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        # a buffer, so that it changes device and precision with the weight
        self.register_buffer("_rows", None, persistent=False)
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        offsets: Float[Tensor, "b k2 h w"],
        mask: Float[Tensor, "b k h w"],
    ) -> Float[Tensor, "b o h w"]:
        if self.lowering != "auto":
            return self._lowered(x, offsets, mask)
        batch, channels, height, width = x.shape
        step = height
        if not torch.compiler.is_compiling():  # a graph serves any number of images
            floats = batch * channels * self.kernel_size**2 * height * width
            step = math.ceil(height / min(height, math.ceil(floats / COLUMN_LIMIT)))
        y, x_ = self._positions(offsets)
        mask = mask.permute(0, 2, 3, 1)
        anywhere = x.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling()
        source = x if anywhere else _bordered_table(x)
        convolve = self._by_grid if anywhere else self._by_table
        parts = [
            convolve(
                source,
                (height, width),
                y[:, top : top + step],
                x_[:, top : top + step],
                mask[:, top : top + step],
            )
            for top in range(0, height, step)
        ]
        result = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return result if self.bias is None else result + self.bias[:, None, None]

    def _lowered(
        self,
        x: Float[Tensor, "b c h w"],
        offsets: Float[Tensor, "b k2 h w"],
        mask: Float[Tensor, "b k h w"],
    ) -> Float[Tensor, "b o h w"]:
        """The form that `lowering` names; nothing here depends on what sizes are."""
        y, x_ = self._positions(offsets)
        mask = mask.permute(0, 2, 3, 1)
        size = (x.shape[2], x.shape[3])
        if self.lowering == "grid":
            result = self._by_grid(x, size, y, x_, mask)
        else:
            result = self._by_gathers(_bordered_table(x), size, y, x_, mask)
        return result if self.bias is None else result + self.bias[:, None, None]

    def _positions(self, offsets: Float[Tensor, "b k2 h w"]) -> tuple[Taps, Taps]:
        """Where each tap of each pixel reads: y and x, in pixels; in float32 at least.

        Half precision cannot tell where to read: at pixel 200, bfloat16 knows whole pixels only.
        """
        kernel = self.kernel_size
        offsets = offsets.to(torch.promote_types(offsets.dtype, torch.float32))
        steps = torch.arange(kernel, device=offsets.device, dtype=offsets.dtype) - kernel // 2
        rows = torch.arange(offsets.shape[2], device=offsets.device, dtype=offsets.dtype)
        columns = torch.arange(offsets.shape[3], device=offsets.device, dtype=offsets.dtype)
        batch, _, height, width = offsets.shape
        offsets = offsets.permute(0, 2, 3, 1).reshape(batch, height, width, kernel * kernel, 2)
        y = offsets[..., 0] + (steps.repeat_interleave(kernel) + rows[:, None, None])
        return y, offsets[..., 1] + (steps.repeat(kernel) + columns[:, None])

    def _by_grid(
        self, x: Float[Tensor, "b c h w"], size: tuple[int, int], y: Taps, x_: Taps, mask: Taps
    ) -> Float[Tensor, "b o r w"]:
        """Rows of the result through `grid_sample`."""
        (height, width), (batch, lines) = size, y.shape[:2]
        # pixel centres to -1..1 of the whole map (align_corners=False)
        grid = torch.stack(((2 * x_ + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)
        grid = grid.permute(0, 3, 1, 2, 4).reshape(batch, -1, width, 2)
        wide = x.to(grid.dtype)  # the grid's precision, whatever the map's
        sampled = F.grid_sample(wide, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        # sizes in full: exporters take what `unflatten` gives for the example's own
        columns = sampled.to(x.dtype).reshape(batch, x.shape[1], self.kernel_size**2, lines, width)
        columns = columns * mask.permute(0, 3, 1, 2)[:, None]
        # bmm with a broadcast weight: matmul would copy the columns to fold the batch in
        weight = self.weight.flatten(1).expand(batch, -1, -1)
        result = torch.bmm(weight, columns.reshape(batch, -1, lines * width))
        return result.reshape(batch, len(self.weight), lines, width)

    def _by_table(
        self, table: Float[Tensor, "b hb wb c"], size: tuple[int, int], y: Taps, x_: Taps, mask: Taps
    ) -> Float[Tensor, "b o r w"]:
        """Rows of the result through `embedding_bag` over pixels, with a border of zeros around them."""
        batch, lines, width = *y.shape[:2], size[1]
        corners = _corners(size, y, x_, mask)
        index = torch.stack([place for place, _ in corners], dim=-1)
        weight = torch.stack([share for _, share in corners], dim=-1)
        columns = F.embedding_bag(
            index.reshape(-1, 4),
            table.flatten(0, 2),
            per_sample_weights=weight.reshape(-1, 4).to(table.dtype),
            mode="sum",
        )
        kernel = self._weight_rows() if self._rows is None else self._rows
        result = columns.reshape(batch * lines * width, -1) @ kernel
        return result.unflatten(0, (batch, lines, width)).permute(0, 3, 1, 2)

    def _by_gathers(
        self, table: Float[Tensor, "b hb wb c"], size: tuple[int, int], y: Taps, x_: Taps, mask: Taps
    ) -> Float[Tensor, "b o r w"]:
        """Rows of the result through four gathers over the same pixels."""
        batch, lines, width = *y.shape[:2], size[1]
        pixels = table.flatten(0, 2)
        columns: Tensor | None = None
        for place, share in _corners(size, y, x_, mask):
            part = pixels.index_select(0, place.flatten()) * share.reshape(-1, 1).to(table.dtype)
            columns = part if columns is None else columns + part
        assert columns is not None
        result = columns.reshape(batch * lines * width, -1) @ self._weight_rows()
        return result.reshape(batch, lines, width, -1).permute(0, 3, 1, 2)

    def _weight_rows(self) -> Float[Tensor, "kc o"]:
        return self.weight.permute(2, 3, 1, 0).reshape(-1, self.weight.shape[0])

    @torch.no_grad()
    def pack(self) -> None:
        """Keep the weight in the table form's layout too. For inference alone: changes are not seen."""
        self._rows = self._weight_rows().contiguous()


class DeformConvNorm(ModulatedDeformConv2d):
    """3x3 modulated deformable convolution, then `self.norm`; keys `weight` and `norm.*` (detectron2)."""

    def __init__(
        self, in_channels: int, out_channels: int, *, norm: Norm = "frozen", eps: float = 1e-5
    ) -> None:
        super().__init__(in_channels, out_channels)
        self.norm: nn.Module = make_norm(norm, out_channels, eps)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "b i h w"], found: Float[Tensor, "b 27 h w"]
    ) -> Float[Tensor, "b o h w"]:
        """`found`: the offsets, interleaved, then the mask's logits."""
        offsets, mask = found.split((18, 9), dim=1)
        return self.norm(super().forward(x, offsets, mask.sigmoid()))

    def fold(self) -> None:
        """Fold the norm (in evaluation mode) into weight and bias, see ConvNorm."""
        if not isinstance(self.norm, nn.Identity):
            self.weight, self.bias = folded(self.weight, self.norm)
            self.norm = nn.Identity()


def _corners(size: tuple[int, int], y: Taps, x_: Taps, mask: Taps) -> list[tuple[Tensor, Taps]]:
    """The four neighbours of where each tap reads: rows of the bordered table (int32), and their shares."""
    (height, width), batch = size, y.shape[0]
    # beyond the border everything is 0 anyway, and indices must stay inside the table
    y, x_ = y.clamp(-1, height), x_.clamp(-1, width)
    top, left = y.floor(), x_.floor()
    down, right = (y - top) * mask, x_ - left
    up = mask - down
    line = width + 3
    first = (top.int() + 1) * line + (left.int() + 1)
    pictures = torch.arange(batch, dtype=torch.int32, device=y.device)[:, None, None, None]
    first = first + pictures * ((height + 3) * line)
    # offsets that are not numbers would read beyond the table; their weights keep the answer not a number
    first = first.clamp(0, batch * (height + 3) * line - line - 2)
    return [
        (first, up - up * right),
        (first + 1, up * right),
        (first + line, down - down * right),
        (first + (line + 1), down * right),
    ]


def lower_deformable(module: nn.Module, lowering: Lowering) -> None:
    """Have every deformable convolution in `module` work in one form, see Lowering."""
    for part in module.modules():
        if isinstance(part, ModulatedDeformConv2d):
            part.lowering = lowering


def _bordered_table(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b hb wb c"]:
    """Pixels as rows, with one line of zeros before and two behind in either direction."""
    return F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 2, 1, 2))

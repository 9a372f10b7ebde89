"""Convolution with its norm inside, and the folding of one into the other."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["frozen", "batch"]


class FrozenBatchNorm2d(nn.Module):
    """Batch norm whose statistics and affine factors are constants: four buffers, nothing learned.

    The initial variance is 1 - eps, so that a fresh module is the identity to the last bit (detectron2).
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels) - eps)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


BatchNorm = FrozenBatchNorm2d | nn.BatchNorm2d


def make_norm(kind: Norm, channels: int, eps: float = 1e-5) -> BatchNorm:
    """A norm over `channels`: `frozen` (constants) or `batch` (learned)."""
    return FrozenBatchNorm2d(channels, eps) if kind == "frozen" else nn.BatchNorm2d(channels, eps)


def norm_scale_shift(norm: BatchNorm) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """The factors with which `norm` in evaluation mode equals x * scale + shift.

    Worked out in float64: the difference mean * scale loses digits where the variance is small.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale


@torch.no_grad()
def folded(weight: Float[Tensor, "o i h w"], norm: nn.Module) -> tuple[nn.Parameter, nn.Parameter]:
    """Weight and bias of the convolution that does what one without bias followed by `norm` does."""
    assert isinstance(norm, BatchNorm)
    scale, shift = norm_scale_shift(norm)
    scaled = (weight.double() * scale[:, None, None, None]).to(weight.dtype)
    return nn.Parameter(scaled), nn.Parameter(shift.to(weight.dtype))


class ConvNorm(nn.Conv2d):
    """2-D convolution followed by `self.norm`; its keys are `weight` and `norm.*`, as in detectron2."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        norm: Norm = "frozen",
        eps: float = 1e-5,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        )
        self.norm: nn.Module = make_norm(norm, out_channels, eps)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, input: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        return self.norm(super().forward(input))

    def fold(self) -> None:
        """Fold the norm (in evaluation mode) into weight and bias; the result agrees to float32 rounding."""
        if not isinstance(self.norm, nn.Identity):
            self.weight, self.bias = folded(self.weight, self.norm)
            self.norm = nn.Identity()

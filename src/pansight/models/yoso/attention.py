"""Dynamic convolution attention (YOSO, Sec. 3.3, Fig. 4) and the variants of Table 6.

Each takes a query and a value, one row per proposal, and returns rows mixed and normalised; no residual.
In the dynamic variants the query predicts convolution kernels that act on the value, with proposals as
channels and the hidden axis as positions, so the number of proposals is part of the weights' shape.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.models.yoso.config import Attention

Rows = Float[Tensor, "b n d"]


def shifted_taps(value: Rows, kernel: int) -> list[Rows]:
    """`value` moved along its last axis, one copy per tap of a 1-D convolution with zero padding."""
    reach = (kernel - 1) // 2
    padded = F.pad(value, (reach, kernel - 1 - reach))
    return [padded[..., tap : tap + value.shape[-1]] for tap in range(kernel)]


def depthwise(weight: Float[Tensor, "b n t"], value: Rows) -> Rows:
    """Each row convolved with its own kernel (cross-correlation)."""
    total = None
    for tap, shifted in enumerate(shifted_taps(value, weight.shape[-1])):
        term = weight[..., tap : tap + 1] * shifted
        total = term if total is None else total + term
    assert total is not None
    return total


class SeparableDynamicConv(nn.Module):
    """SDCA: depthwise over the hidden axis, ReLU, pointwise over proposals."""

    def __init__(self, dim: int, proposals: int, kernel: int, heads: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.weight_linear = nn.Linear(dim, kernel + proposals)
        self.norm = nn.LayerNorm(dim)

    def forward(self, query: Rows, value: Rows) -> Rows:
        weight = self.weight_linear(query)
        hidden = F.relu(depthwise(weight[..., : self.kernel], value))
        return self.norm(torch.bmm(weight[..., self.kernel :], hidden))


class PointwiseDynamicConv(nn.Module):
    """PDCA: proposals mixed, nothing along the hidden axis."""

    def __init__(self, dim: int, proposals: int, kernel: int, heads: int) -> None:
        super().__init__()
        self.weight_linear = nn.Linear(dim, proposals)
        self.norm = nn.LayerNorm(dim)

    def forward(self, query: Rows, value: Rows) -> Rows:
        return self.norm(torch.bmm(self.weight_linear(query), value))


class DepthwiseDynamicConv(nn.Module):
    """DDCA: along the hidden axis only."""

    def __init__(self, dim: int, proposals: int, kernel: int, heads: int) -> None:
        super().__init__()
        self.weight_linear = nn.Linear(dim, kernel)
        self.norm = nn.LayerNorm(dim)

    def forward(self, query: Rows, value: Rows) -> Rows:
        return self.norm(depthwise(self.weight_linear(query), value))


class DynamicConv(nn.Module):
    """DCA: a full dynamic convolution, every proposal to every proposal with `kernel` taps."""

    def __init__(self, dim: int, proposals: int, kernel: int, heads: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.f_linear = nn.Linear(dim, proposals * kernel)
        self.f_norm = nn.LayerNorm(dim)

    def forward(self, query: Rows, value: Rows) -> Rows:
        # row n of the weight is [m, tap]; the columns are laid out alike
        columns = torch.stack(shifted_taps(value, self.kernel), dim=2).flatten(1, 2)
        return self.f_norm(torch.bmm(self.f_linear(query), columns))


class CrossAttention(nn.Module):
    """MHCA: ordinary multi-head cross attention; the only variant free of the number of proposals."""

    def __init__(self, dim: int, proposals: int, kernel: int, heads: int) -> None:
        super().__init__()
        self.atten = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.f_norm = nn.LayerNorm(dim)

    def forward(self, query: Rows, value: Rows) -> Rows:
        return self.f_norm(self.atten(query, value, value, need_weights=False)[0])


ATTENTIONS = {
    "mhca": CrossAttention,
    "dca": DynamicConv,
    "sdca": SeparableDynamicConv,
    "pdca": PointwiseDynamicConv,
    "ddca": DepthwiseDynamicConv,
}


def make_attention(kind: Attention, dim: int, proposals: int, kernel: int, heads: int) -> nn.Module:
    """One of Table 6's modules."""
    return ATTENTIONS[kind](dim, proposals, kernel, heads)

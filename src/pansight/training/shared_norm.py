"""Batch norm over all processes of a training, on CPUs too.

torch's SyncBatchNorm only takes tensors of accelerators. This one needs nothing but a sum over processes, so
that two processes on a CPU (gloo) normalise by the images of both, as one process with all of them would.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(context: Any, values: Tensor, group: Any) -> Tensor:
        context.group = group
        total = values.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone()
        dist.all_reduce(total, group=context.group)
        return total, None


class SharedBatchNorm2d(nn.BatchNorm2d):
    """An `nn.BatchNorm2d` whose statistics in training are those of all processes' images together.

    Made of an existing one by `sharing`, in place: its keys and its place in the network stay.
    """

    group: Any

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """See nn.BatchNorm2d."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        axes = (0, 2, 3)
        count = x.new_full((1,), x.numel() / x.shape[1])
        sums = _Sum.apply(torch.cat((x.sum(axes), count)), self.group)  # type: ignore[no-untyped-call]
        total = sums[-1].detach()
        mean = sums[:-1] / total
        centred = x - mean[:, None, None]
        spread = _Sum.apply(centred.square().sum(axes), self.group)  # type: ignore[no-untyped-call]
        variance = spread / total
        self._follow(mean.detach(), variance.detach(), total)
        result = centred * (variance + self.eps).rsqrt()[:, None, None]
        if self.affine:
            result = result * self.weight[:, None, None] + self.bias[:, None, None]
        return result.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, total: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * total / (total - 1).clamp(min=1), share)


@contextmanager
def sharing(model: nn.Module) -> Iterator[None]:
    """Inside, batch norms of `model` in training mode count the images of all processes.

    With a group of processes of their own: gradients are summed at the same time, and the order of sums must
    be the same in every process. All processes must enter it.
    """
    norms = [module for module in model.modules() if type(module) is nn.BatchNorm2d]
    group: Any = dist.new_group() if norms else None
    for norm in norms:
        norm.__class__ = SharedBatchNorm2d
        norm.group = group
    try:
        yield
    finally:
        for norm in norms:
            norm.__class__ = nn.BatchNorm2d
            del norm.group

"""Where things and stuff are, and by which kernels their masks are made (Sec. 3.2)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.models.panoptic_fcn.blocks import Tower
from pansight.models.panoptic_fcn.config import PanopticFCNConfig
from pansight.models.panoptic_fcn.features import with_coordinates

PRIOR_BIAS = -2.19
"""of both position maps: probability 0.1"""


class PositionHead(nn.Module):
    """Logits of a thing's centre and of each pixel's semantic class; shared by all levels."""

    def __init__(self, config: PanopticFCNConfig, things: int, stuff: int) -> None:
        super().__init__()
        channels = config.pyramid_channels
        self.position_head = Tower(
            "position_head", channels, channels, config.head_layers, config.norm_group, config.position_deform
        )
        self.out_inst = nn.Conv2d(channels, things, 3, padding=1)
        self.out_sem = nn.Conv2d(channels, stuff, 3, padding=1)
        self.channels = (things, stuff)
        self.joined: nn.Conv2d | None = None
        for layer in (self.out_inst, self.out_sem):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.constant_(layer.bias, PRIOR_BIAS)

    def forward(
        self, x: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b t h w"], Float[Tensor, "b s h w"]]:
        features = self.position_head(x)
        if self.joined is None:
            return self.out_inst(features), self.out_sem(features)
        things, stuff = self.joined(features).split(self.channels, dim=1)
        return things, stuff

    @torch.no_grad()
    def fold(self) -> None:
        """Make one convolution of the last two; what is one already stays."""
        if self.joined is not None:
            return
        weight, bias = (
            torch.cat([getattr(layer, name) for layer in (self.out_inst, self.out_sem)])
            for name in ("weight", "bias")
        )
        self.joined = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        self.joined.weight, self.joined.bias = nn.Parameter(weight), nn.Parameter(bias)
        del self.out_inst, self.out_sem


class KernelHead(nn.Module):
    """A kernel weight vector at every cell; shared by all levels."""

    def __init__(self, config: PanopticFCNConfig) -> None:
        super().__init__()
        channels = config.pyramid_channels
        self.coordinates = config.kernel_coordinates
        self.kernel_head = Tower(
            "kernel_head",
            channels + 2 * self.coordinates,
            channels,
            config.head_layers,
            config.norm_group,
            deform=False,
        )
        out_conv = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.normal_(out_conv.weight, std=0.01)
        assert out_conv.bias is not None
        nn.init.zeros_(out_conv.bias)
        self.out_conv: nn.Conv2d | nn.Identity = out_conv

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return self.out_conv(self.kernel_head(with_coordinates(x) if self.coordinates else x))

    def fold(self, *embeddings: "Embedding") -> None:
        """Leave the last convolution out; the embeddings do it, for what is read by `PatchReader`.

        Where they do so already, all stays as it is.
        """
        if isinstance(self.out_conv, nn.Identity):
            return
        for embedding in embeddings:
            embedding.take_over(self.out_conv)
        self.out_conv = nn.Identity()
        if self.coordinates:
            self.kernel_head.split_coordinates()
            self.coordinates = False


class Embedding(nn.Module):
    """Kernels as read from a map to kernels that fit the encoded feature: affine, a 1x1 convolution."""

    def __init__(self, channels: int, encoded: int) -> None:
        super().__init__()
        self.embed_extractor = nn.Conv2d(channels, encoded, 1)
        nn.init.normal_(self.embed_extractor.weight, std=0.01)
        assert self.embed_extractor.bias is not None
        nn.init.zeros_(self.embed_extractor.bias)

    def forward(self, kernels: Float[Tensor, "*n r"]) -> Float[Tensor, "*n d"]:
        # a few rows: in the precision of what was read, whatever the weights'
        weight, bias = self.embed_extractor.weight.flatten(1), self.embed_extractor.bias
        assert bias is not None
        return F.linear(kernels, weight.to(kernels.dtype), bias.to(kernels.dtype))

    @torch.no_grad()
    def take_over(self, convolution: nn.Conv2d) -> None:
        """Become the product of a 3x3 convolution and this, for what `PatchReader` reads of its input."""
        assert convolution.bias is not None
        own = self.embed_extractor.weight.flatten(1).double()
        taps = torch.einsum("dc,ciyx->dyxi", own, convolution.weight.double()).flatten(1)
        weight = torch.cat((taps, (own @ convolution.bias.double())[:, None]), dim=1)
        self.embed_extractor.weight = nn.Parameter(
            weight[..., None, None].to(self.embed_extractor.weight.dtype)
        )
        self.embed_extractor.in_channels = weight.shape[1]

"""The feature pyramid aggregator (YOSO, Sec. 3.2): four backbone stages to one map at stride 4.

Keys under `deconv` are the released checkpoints'.
"""

from typing import Literal, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.nn.conv import norm_scale_shift
from pansight.nn.coordinates import coordinate_channels
from pansight.nn.deform import ModulatedDeformConv2d
from pansight.nn.features import Pyramid


class DeformableUpsample(nn.Module):
    """Modulated deformable 3x3, norm, ReLU; transposed 4x4 of stride 2, norm, ReLU: doubles the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.dcn_offset = nn.Conv2d(in_channels, 27, 3, padding=1)
        self.dcn = ModulatedDeformConv2d(in_channels, out_channels)
        self.dcn_bn: nn.Module = nn.BatchNorm2d(out_channels)
        self.up_sample = nn.ConvTranspose2d(out_channels, out_channels, 4, stride=2, padding=1, bias=False)
        self.up_bn: nn.Module = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        nn.init.zeros_(cast(Tensor, self.dcn_offset.bias))

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        # 9 taps, (dy, dx) interleaved, then 9 modulation logits
        offsets, mask = self.dcn_offset(x).split((18, 9), dim=1)
        x = self.relu(self.dcn_bn(self.dcn(x, offsets, mask.sigmoid())))
        return self.relu(self.up_bn(self.up_sample(x)))

    @torch.no_grad()
    def fold(self) -> None:
        """Fold both norms into the convolutions before them, and lay weights out for inference."""
        for convolution, name, axis in ((self.dcn, "dcn_bn", 0), (self.up_sample, "up_bn", 1)):
            norm = getattr(self, name)
            if isinstance(norm, nn.Identity):
                continue
            scale, shift = norm_scale_shift(norm)
            shape = [1, 1, 1, 1]
            shape[axis] = -1  # output channels come second in a transposed convolution
            weight = convolution.weight
            weight.copy_(weight.double() * scale.reshape(shape))
            convolution.bias = nn.Parameter(shift.to(weight.dtype))
            setattr(self, name, nn.Identity())
        self.dcn.pack()


class Laterals(NamedTuple):
    """The pyramid after its top-down pass, half as many channels as the backbone's, strides 4 to 32."""

    x2: Float[Tensor, "b c2 h4 w4"]
    x3: Float[Tensor, "b c3 h8 w8"]
    x4: Float[Tensor, "b c4 h16 w16"]
    x5: Float[Tensor, "b c5 h32 w32"]


def upsample(x: Float[Tensor, "b c h w"], scale: int) -> Float[Tensor, "b c h2 w2"]:
    """Bilinear upsampling by a whole factor."""
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


class FeaturePyramidAggregator(nn.Module):
    """Top-down pyramid, then aggregation of its levels into one map.

    Args:
        channels: of the backbone's four stages, strides 4 to 32.
        out_channels: of the map.
        order: `cfa`, convolution first (Sec. 3.2): project each level to `out_channels`, upsample, add;
            `ifa`, interpolation first (the ablation of Table 5): upsample, concatenate, project. Both are
            the same linear map when the weight of `conv_a` is the concatenation of `conv_a5` .. `conv_a2`.
    """

    def __init__(
        self, channels: tuple[int, ...], out_channels: int, order: Literal["cfa", "ifa"] = "cfa"
    ) -> None:
        super().__init__()
        self.order = order
        c2, c3, c4, c5 = (c // 2 for c in channels)
        self.bias: nn.Parameter | None = nn.Parameter(torch.empty(1, out_channels, 1, 1))
        self.lateral_conv0 = nn.Conv2d(channels[3], c5, 1)
        self.deform_conv1 = DeformableUpsample(c5, c4)
        self.lateral_conv1 = nn.Conv2d(channels[2], c4, 1)
        self.deform_conv2 = DeformableUpsample(c4, c3)
        self.lateral_conv2 = nn.Conv2d(channels[1], c3, 1)
        self.deform_conv3 = DeformableUpsample(c3, c2)
        self.lateral_conv3 = nn.Conv2d(channels[0], c2, 1)
        self.output_conv = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if order == "cfa":
            self.conv_a5 = nn.Conv2d(c5, out_channels, 1, bias=False)
            self.conv_a4 = nn.Conv2d(c4, out_channels, 1, bias=False)
            self.conv_a3 = nn.Conv2d(c3, out_channels, 1, bias=False)
            self.conv_a2 = nn.Conv2d(c2, out_channels, 1, bias=False)
        else:
            self.conv_a = nn.Conv2d(c5 + c4 + c3 + c2, out_channels, 1, bias=False)

    def laterals(self, features: Pyramid) -> Laterals:
        x5 = self.lateral_conv0(features.res5)
        x4 = self.lateral_conv1(features.res4) + self.deform_conv1(x5)
        x3 = self.lateral_conv2(features.res3) + self.deform_conv2(x4)
        x2 = self.lateral_conv3(features.res2) + self.deform_conv3(x3)
        return Laterals(x2, x3, x4, x5)

    def aggregate(self, x: Laterals) -> Float[Tensor, "b d h4 w4"]:
        """The four levels as one map at stride 4 (what Table 5 counts)."""
        if self.order == "ifa":
            levels = (upsample(x.x5, 8), upsample(x.x4, 4), upsample(x.x3, 2), x.x2)
            return self.conv_a(torch.cat(levels, dim=1))
        total = upsample(self.conv_a5(x.x5), 8)
        total = total + upsample(self.conv_a4(x.x4), 4)
        total = total + upsample(self.conv_a3(x.x3), 2)
        return total + self.conv_a2(x.x2)

    def forward(self, features: Pyramid) -> Float[Tensor, "b d h4 w4"]:
        total = self.aggregate(self.laterals(features))
        if self.bias is not None:
            total = total + self.bias
        return self.output_conv(total)

    @torch.no_grad()
    def fold(self) -> None:
        """Let a projection carry the stand-alone bias."""
        last = self.conv_a2 if self.order == "cfa" else self.conv_a
        if self.bias is not None:
            last.bias = nn.Parameter(self.bias.flatten().clone())
            self.bias = None


class Neck(nn.Module):
    """Aggregator and coordinates: backbone stages to the map X on which kernels act.

    Attributes:
        deferred: leave the last projection to the head (see `defer`).
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        aggregated_dim: int,
        hidden_dim: int,
        order: Literal["cfa", "ifa"] = "cfa",
    ) -> None:
        super().__init__()
        self.deconv = FeaturePyramidAggregator(channels, aggregated_dim, order)
        self.loc_conv = nn.Conv2d(aggregated_dim + 2, hidden_dim, 1)
        self.deferred = False
        # As the released code: everything with more than one axis, which undoes the zero start of the
        # deformable offsets and covers the stand-alone bias too.
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, features: Pyramid) -> Float[Tensor, "b d h4 w4"]:
        x = self.deconv(features)
        coordinates = coordinate_channels(x)
        if self.deferred:
            return torch.cat((x, coordinates, torch.ones_like(x[:, :1])), dim=1)
        return self.loc_conv(torch.cat((x, coordinates), dim=1))

    def defer(self) -> Float[Tensor, "d e"]:
        """From now on give [features, x, y, 1]; returns the matrix that makes X of it.

        X only ever meets linear operations (products with kernels, sums under masks), so the matrix can be
        applied to the few kernels instead of every pixel: half the channels, the same sums.
        """
        self.deferred = True
        weight, bias = self.loc_conv.weight, self.loc_conv.bias
        assert bias is not None
        return torch.cat((weight.detach().flatten(1), bias.detach()[:, None]), dim=1)

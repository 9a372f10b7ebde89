"""Feature pyramid network (Lin et al., CVPR 2017), in the variants of RetinaNet, detectron2 and YOLACT."""

from collections.abc import Mapping, Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.nn.naming import KeyNames


class FeaturePyramid(nn.Module):
    """Laterals, a top-down pass and output convolutions; then coarser levels by strided convolutions.

    Levels are ordered fine to coarse everywhere. Inner names: `lateral.{i}` (1x1), `output.{i}` (3x3) and
    `extra.{i}` (3x3, stride 2), all with bias, no norm.

    Args:
        in_channels: of the maps that come in, fine to coarse.
        channels: of every map that goes out.
        extra_levels: strided convolutions on top of the coarsest output, each fed by the previous one.
        top_down: how the coarser sum is brought to the size of the finer lateral.
        rectify_outputs: ReLU after the output convolutions (YOLACT).
        rectify_between_extra: ReLU on what the second and later extra levels read, not on what goes out
            (RetinaNet).
        names: outer names of inner ones, see KeyNames.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        extra_levels: int = 0,
        top_down: Literal["nearest", "bilinear"] = "nearest",
        rectify_outputs: bool = False,
        rectify_between_extra: bool = True,
        names: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.top_down = top_down
        self.rectify_outputs = rectify_outputs
        self.rectify_between_extra = rectify_between_extra
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.output = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)
        self.extra = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(extra_levels)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # "Caffe2's Xavier": uniform within sqrt(3 / fan_in), as all of these start
                nn.init.kaiming_uniform_(module.weight, a=1)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        if names is not None:
            KeyNames(names).install(self)

    def forward(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> tuple[Float[Tensor, "b c _ _"], ...]:
        """One map per feature, then the extra levels; an extra side is half of the previous one, rounded
        up."""
        sums = [self.lateral[-1](features[-1])]
        for lateral, feature in zip(reversed(self.lateral[:-1]), reversed(features[:-1]), strict=True):
            fine = lateral(feature)
            align = None if self.top_down == "nearest" else False
            coarse = F.interpolate(sums[0], size=fine.shape[2:], mode=self.top_down, align_corners=align)
            sums.insert(0, fine + coarse)
        levels = [output(total) for output, total in zip(self.output, sums, strict=True)]
        if self.rectify_outputs:
            levels = [F.relu(level) for level in levels]
        for index, convolution in enumerate(self.extra):
            rectify = index > 0 and self.rectify_between_extra
            levels.append(convolution(F.relu(levels[-1]) if rectify else levels[-1]))
        return tuple(levels)

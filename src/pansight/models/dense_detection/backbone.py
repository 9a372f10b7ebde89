"""ResNet and feature pyramid under torchvision's key names, as the released weights have them."""

from jaxtyping import Float
from torch import Tensor, nn

from pansight.models.dense_detection.config import DenseDetectionConfig
from pansight.models.dense_detection.outputs import STRIDES
from pansight.nn.fpn import FeaturePyramid
from pansight.nn.resnet import ResNet, torchvision_names

FPN_NAMES = {
    **{f"lateral.{level}": f"inner_blocks.{level}" for level in range(3)},
    **{f"output.{level}": f"layer_blocks.{level}" for level in range(3)},
    "extra.0": "extra_blocks.p6",
    "extra.1": "extra_blocks.p7",
}


class Backbone(nn.Module):
    """C3..C5 of a residual network to P3..P7, all `pyramid_channels` wide.

    P6 is made of P5, P7 of ReLU(P6).
    """

    def __init__(self, config: DenseDetectionConfig) -> None:
        super().__init__()
        self.body = ResNet(
            config.depth, width=config.width, norm=config.backbone_norm, eps=config.backbone_eps
        )
        self.body.rename_keys(torchvision_names(self.body))
        self.fpn = FeaturePyramid(
            self.body.channels[1:], config.pyramid_channels, extra_levels=len(STRIDES) - 3, names=FPN_NAMES
        )
        parts = (self.body.stem, self.body.res2, self.body.res3, self.body.res4, self.body.res5)
        for part in parts[: config.frozen_stages]:
            part.requires_grad_(False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b c _ _"], ...]:
        features = self.body(images)
        return self.fpn((features.res3, features.res4, features.res5))

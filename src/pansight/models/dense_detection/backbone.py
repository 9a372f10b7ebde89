"""ResNet and feature pyramid under torchvision's key names, as the released weights have them."""

from jaxtyping import Float
from torch import Tensor, nn

from pansight.models.backbone import backbone_of
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
    """C3..C5 of a backbone to P3..P7, all `pyramid_channels` wide.

    P6 is made of P5, P7 of ReLU(P6).
    """

    def __init__(self, config: DenseDetectionConfig) -> None:
        super().__init__()
        self.body = backbone_of(config)
        if isinstance(self.body, ResNet):
            self.body.rename_keys(torchvision_names(self.body))
        self.fpn = FeaturePyramid(
            self.body.channels[1:], config.pyramid_channels, extra_levels=len(STRIDES) - 3, names=FPN_NAMES
        )
        self.body.freeze(config.frozen_stages)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b c _ _"], ...]:
        features = self.body(images)
        return self.fpn((features.res3, features.res4, features.res5))

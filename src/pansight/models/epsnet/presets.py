"""The models of the EPSNet paper."""

from pansight.categories import Categories
from pansight.models.epsnet.config import EPSNetConfig
from pansight.models.preprocess import Preprocess
from pansight.models.released_files import RELEASED
from pansight.models.spec import Figure, ModelSpec

README = "README of the released EPSNet code"


def squashed(side: int) -> Preprocess:
    """The released image mode: squashed to a square without antialiasing, in float32."""
    return Preprocess(
        squash=(side, side),
        divisor=1,
        mean=(123.68, 116.78, 103.94),
        std=(58.40, 57.12, 57.38),
        resample="bilinear",
    )


def epsnet_presets() -> tuple[ModelSpec, ...]:
    """COCO. Thresholds are those of the README's evaluation.

    Anchors of the ResNet-50 and of the larger variant are square, as a mistake of the released code has it.
    """
    coco = Categories.builtin("coco")
    return (
        ModelSpec(
            name="epsnet-r50-coco",
            method="epsnet",
            config=EPSNetConfig(depth=50, square_anchors=True),
            categories=coco,
            preprocess=squashed(550),
            description="EPSNet, ResNet-50, COCO, squashed to 550 x 550",
            weights=(RELEASED["epsnet-r50"],),
            figures=(Figure(35.8, README, 20.6, "2080 Ti"),),
        ),
        ModelSpec(
            name="epsnet-r101-coco",
            method="epsnet",
            config=EPSNetConfig(),
            categories=coco,
            preprocess=squashed(550),
            description="EPSNet, ResNet-101, COCO, squashed to 550 x 550",
            weights=(RELEASED["epsnet-r101"],),
            figures=(Figure(38.6, README, 19.6, "2080 Ti"),),
        ),
        ModelSpec(
            name="epsnet-r101-coco-650",
            method="epsnet",
            config=EPSNetConfig(
                anchor_scales=(28, 56, 113, 226, 453),
                anchor_input=650,
                square_anchors=True,
                masks_to_train=300,
            ),
            categories=coco,
            preprocess=squashed(650),
            description="the released code's variant for 650 x 650; no weights are published",
        ),
    )

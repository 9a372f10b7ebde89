"""The configuration of a Panoptic FCN."""

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from pansight.merging.settings import PrioritySettings, moved_to_merge
from pansight.models.backbone import BackboneName

Range = tuple[PositiveFloat, PositiveFloat]


class PanopticFCNMergeSettings(PrioritySettings):
    """Thresholds of masks and of the priority merge (Sec. 3.3)."""

    object_threshold: float = Field(default=0.2, ge=0, le=1)
    """rescored instances below it do not become segments; of this and the configuration's
    `instance_threshold` the higher counts"""
    mask_threshold: float = Field(default=0.4, ge=0, le=1)
    """probability that a pixel of a mask must exceed"""


class PanopticFCNConfig(BaseModel):
    """Architecture, thresholds and losses (Li et al., CVPR 2021; defaults: COCO, ResNet-50).

    The ablations of the paper's tables are options: 1 `position_deform`, `head_layers`; 2
    `kernel_coordinates`, `feature_coordinates`; 3 `similarity_threshold`, `class_aware_fusion`; 4
    `encoder_channels`; 5 `feature`; 6 `positions`, `weighted_dice`; 8 `encoder_deform`, `encoder_channels`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # backbone; depth, width and eps are a residual network's
    backbone: BackboneName = "resnet"
    depth: Literal[18, 34, 50, 101] = 50
    width: PositiveInt = 64
    backbone_norm: Literal["frozen", "batch"] = "frozen"
    backbone_eps: PositiveFloat = 1e-5
    stride_in_1x1: bool = True
    """the original (MSRA) weights have the stride there; without effect for 18 and 34"""
    deform_stages: tuple[Literal[2, 3, 4, 5], ...] = ()
    """stages whose 3x3 convolutions are modulated deformable ones (DCN: 3, 4 and 5)"""
    frozen_stages: int = Field(default=2, ge=0, le=5)
    """parts of the backbone that are not trained, from the stem on (2: stem and first stage)"""
    # feature pyramid and heads
    pyramid_channels: PositiveInt = 256
    norm_group: PositiveInt = 8
    """channels per group of the heads' norms"""
    head_layers: PositiveInt = 3
    """convolutions of the position head and of the kernel head, which Table 1 varies together"""
    position_deform: bool = True
    kernel_coordinates: bool = True
    feature_coordinates: bool = True
    feature: Literal["semantic", "summed", "p2"] = "semantic"
    """what the encoder reads: a semantic FPN, the sum of P2..P5 at stride 4, or P2"""
    encoder_layers: PositiveInt = 3
    """convolutions of the feature encoder"""
    encoder_channels: PositiveInt = 64
    encoder_deform: bool = False
    things_as_stuff: bool = True
    """whether the semantic classes begin with one for all things"""
    stuff_positions: Literal["regions", "centers"] = "regions"
    """where a stuff class's kernel is read: over all its cells, or at one cell in its middle, as those of
    things are, which the paper leaves to future work. It is trained otherwise, too"""
    # inference: positions
    thing_threshold: float = Field(default=0.05, ge=0, le=1)
    """a peak's probability must exceed it"""
    stuff_threshold: float = Field(default=0.05, ge=0, le=1)
    """a region's mean probability must exceed it"""
    top: int = Field(default=100, ge=2)
    """instances per image at most; half as many peaks per level"""
    # inference: kernel fusion
    similarity_threshold: float = Field(default=0.9, ge=-1, le=1)
    """cosine similarity from which two kernels belong to one object"""
    class_aware_fusion: bool = True
    # inference: masks and merge
    instance_threshold: float = Field(default=0.05, ge=0, le=1)
    """rescored instances below it are dropped"""
    merge: PanopticFCNMergeSettings = PanopticFCNMergeSettings()
    merge_rule: Literal["priority", "argmax"] = "priority"
    """`argmax`: things and stuff compete for each pixel by score * probability, which the paper leaves to
    future work; `max_occlusion` and `stuff_area` then play no part"""
    keep_share: float = Field(default=0.6, ge=0, le=1)
    """of `argmax` alone: a mask that keeps a smaller share of itself is dropped"""
    # targets
    scales: tuple[Range, Range, Range, Range, Range] = (
        (1, 64),
        (32, 128),
        (64, 256),
        (128, 512),
        (256, 2048),
    )
    """of P3..P7: the square root of a box's area, in pixels of the input, both ends included"""
    center: Literal["mass", "box"] = "mass"
    minimum_overlap: float = Field(default=0.7, gt=0, lt=1)
    """of a box and the one that a position within the Gaussian's radius would give"""
    sigma_divisor: PositiveFloat = 3.0
    # losses
    positions: PositiveInt = 7
    """k, the positions sampled for each object and level"""
    weighted_dice: bool = True
    """weigh the k positions by their scores; else one position, the object's centre"""
    focal_alpha: float = Field(default=0.25, ge=0, le=1)
    focal_gamma: NonNegativeFloat = 2.0
    position_weight: NonNegativeFloat = 1.0
    segment_weight: NonNegativeFloat = 3.0

    @model_validator(mode="before")
    @classmethod
    def _former(cls, values: Any) -> Any:
        return moved_to_merge(values, PanopticFCNMergeSettings)

    @model_validator(mode="after")
    def _consistent(self) -> "PanopticFCNConfig":
        if any(low > high for low, high in self.scales):
            raise ValueError("each of scales is its lower bound, then its upper")
        if self.pyramid_channels % self.norm_group:
            raise ValueError("pyramid_channels must be a multiple of norm_group")
        if self.deform_stages and (self.depth < 50 or not self.stride_in_1x1):
            raise ValueError("deform_stages need depth 50 or 101, and stride_in_1x1")
        return self

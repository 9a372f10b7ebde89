"""The configuration of a dense-detection model."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from pansight.merging.settings import PrioritySettings, moved_to_merge
from pansight.models.backbone import BackboneName

Bounds = tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat]


class DenseMergeSettings(PrioritySettings):
    """Thresholds of the priority merge; `mask_threshold` is the paper's sigma."""

    former_names: ClassVar[Mapping[str, str]] = {**PrioritySettings.former_names, "sigma": "mask_threshold"}

    object_threshold: float = Field(default=0.3, ge=0, le=1)
    """query boxes below it (class probability times centerness) do not become segments"""
    mask_threshold: float = Field(default=0.4, ge=0, le=1)
    """a pixel belongs to a mask from this probability on"""
    stuff_area: NonNegativeInt = 2048
    """area in pixels of the output map below which stuff is void"""


class DenseDetectionConfig(BaseModel):
    """Architecture, thresholds and losses (Hou, Li et al., CVPR 2020; defaults: Cityscapes, ResNet-50).

    Rows of the paper's Table 3 are `towers=1, levelness=False, mask_loss=False`, then `towers=2`, then
    `levelness=True`, then `mask_loss=True`; its Sec. 5.6 is `supervision="boxes"`, which has no mask loss.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # backbone; depth, width and eps are a residual network's
    backbone: BackboneName = "resnet"
    depth: Literal[18, 34, 50, 101] = 50
    width: PositiveInt = 64
    backbone_norm: Literal["frozen", "batch"] = "frozen"
    backbone_eps: NonNegativeFloat = 0.0
    """0 as in torchvision when the released weights were trained"""
    frozen_stages: int = Field(default=2, ge=0, le=5)
    """parts of the backbone that are not trained, from the stem on (2: stem and first stage)"""
    # feature pyramid
    pyramid_channels: PositiveInt = 256
    # head
    towers: Literal[1, 2] = 2
    """2: one for boxes, one for classes; 1: the boxes' tower feeds everything"""
    tower_layers: PositiveInt = 4
    box_channels: PositiveInt = 256
    class_channels: PositiveInt = 128
    """without effect for one tower"""
    norm_group: PositiveInt = 8
    """channels per group of the towers' norms"""
    levelness: bool = True
    """predict the level of each pixel's box; without it masks take the best of all levels"""
    # inference: candidates and query boxes (Eq. 4)
    score_threshold: float = Field(default=0.06, ge=0, le=1)
    """a class's probability must exceed it, before centerness"""
    candidates_per_level: PositiveInt = 1000
    nms_threshold: float = Field(default=0.6, ge=0, le=1)
    """IoU within a class"""
    duplicate_threshold: float = Field(default=0.97, ge=0, le=1)
    """IoU among all classes"""
    detections: PositiveInt = 100
    """query boxes per image, at most (ties may exceed it)"""
    # inference: masks (Eq. 5-7) and merge
    location_probability: Literal["giou", "iou"] = "giou"
    """`giou`: the released code's, with its smoothing; `iou`: the paper's"""
    merge: DenseMergeSettings = DenseMergeSettings()
    fill_stuff: bool = False
    """whether pixels of thing classes that no mask claims get their best stuff class instead of void"""
    # targets
    level_bounds: Bounds = (64.0, 128.0, 256.0, 512.0)
    """greatest offset in pixels for P3..P6; P7 has no bound (Eq. 9)"""
    supervision: Literal["masks", "boxes"] = "masks"
    """`boxes`: things by their boxes and the semantic map alone, never by their masks (Sec. 5.6)"""
    # losses
    mask_loss: bool = True
    box_loss: Literal["iou", "giou"] = "iou"
    class_normalizer: Literal["foreground", "locations"] = "foreground"
    """focal loss over foreground locations, or over all as printed"""
    focal_alpha: float = Field(default=0.25, ge=0, le=1)
    focal_gamma: NonNegativeFloat = 2.0
    hard_share: float = Field(default=0.3, gt=0, le=1)
    """share of the worst pixels that the semantic loss takes"""
    semantic_stride: Literal[1, 2, 4, 8] = 1
    """stride, along both sides, of the pixels compared in the semantic loss"""
    semantic_weight: NonNegativeFloat = 1.0
    mask_weight: NonNegativeFloat = 1.0
    mask_loss_score: Literal["iou", "giou_sem"] = "iou"
    """agreement of a pixel's box with a query: plain IoU (Eq. 17-18), or GIoU times class probability"""
    # initial weights
    class_prior: float | None = Field(default=0.01, gt=0, lt=1)
    """probability that the class layer starts at; None: 0.5, for `class_normalizer="locations"`"""
    box_start: Literal["level", "pixel"] = "pixel"
    """first boxes are of their level's middle size, or 2 x 2 pixels as released"""

    @model_validator(mode="before")
    @classmethod
    def _former(cls, values: Any) -> Any:
        return moved_to_merge(values, DenseMergeSettings)

    @model_validator(mode="after")
    def _consistent(self) -> "DenseDetectionConfig":
        if self.backbone_norm == "batch" and not self.backbone_eps:
            raise ValueError("backbone_norm batch needs a backbone_eps, such as 1e-5")
        if list(self.level_bounds) != sorted(set(self.level_bounds)):
            raise ValueError("level_bounds must rise")
        if self.supervision == "boxes" and self.mask_loss:
            raise ValueError("mask_loss needs masks: set mask_loss to false with supervision boxes")
        if self.mask_loss and not self.levelness:
            raise ValueError("mask_loss needs levelness: set mask_loss to false where levelness is")
        if self.class_normalizer == "foreground" and self.class_prior is None:
            raise ValueError("class_normalizer foreground needs a class_prior, such as 0.01")
        return self

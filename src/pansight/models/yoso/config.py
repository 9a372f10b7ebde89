"""The configuration of a YOSO."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from pansight.merging.settings import MergeSettings, moved_to_merge
from pansight.models.backbone import BackboneName

Attention = Literal["mhca", "dca", "sdca", "pdca", "ddca"]


class YOSOMergeSettings(MergeSettings):
    """Thresholds of the argmax merge (Sec. 3.5)."""

    former_names: ClassVar[Mapping[str, str]] = {
        "object_threshold": "object_threshold",
        "overlap_threshold": "keep_share",
    }

    object_threshold: float = Field(default=0.7, ge=0, le=1)
    """score that a proposal must exceed"""
    keep_share: float = Field(default=0.8, ge=0)
    """share of itself that a mask must win against others; what it wins beyond its own region counts, too"""


class YOSOConfig(BaseModel):
    """Architecture, thresholds and loss weights (YOSO, CVPR 2023; defaults: COCO, ResNet-50).

    Thresholds and temperature belong to the data set a model was trained on, so they travel with its weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # backbone; depth, width, eps and stride are a residual network's
    backbone: BackboneName = "resnet"
    depth: Literal[18, 34, 50, 101] = 50
    width: PositiveInt = 64
    backbone_norm: Literal["frozen", "batch"] = "frozen"
    backbone_eps: PositiveFloat = 1e-5
    stride_in_1x1: bool = False
    frozen_stages: int = Field(default=0, ge=0, le=5)
    """parts of the backbone that are not trained, from the stem on (2: stem and first stage)"""
    # feature pyramid aggregator
    aggregator: Literal["cfa", "ifa"] = "cfa"
    aggregated_dim: PositiveInt = 128
    # head
    hidden_dim: PositiveInt = 256
    proposals: PositiveInt = 100
    stages: PositiveInt = 2
    attention: Attention = "sdca"
    attention_kernel: PositiveInt = 3
    heads: PositiveInt = 8
    feedforward_dim: PositiveInt = 2048
    class_layers: int = Field(default=1, ge=0)
    mask_layers: int = Field(default=1, ge=0)
    temperature: PositiveFloat = 0.05
    # merge
    merge: YOSOMergeSettings = YOSOMergeSettings()
    # losses
    class_weight: NonNegativeFloat = 2.0
    mask_weight: NonNegativeFloat = 5.0
    dice_weight: NonNegativeFloat = 5.0
    no_object_weight: PositiveFloat = 0.1
    balance: float = Field(default=0.0, ge=0, le=1)
    """segments of an image that has n count n^-balance each, so that images with many do not outweigh all
    others (0: the paper's, all segments alike; 1: all images alike)"""
    points: PositiveInt = 12_544
    oversample: float = Field(default=3.0, ge=1)
    importance: float = Field(default=0.75, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _former(cls, values: Any) -> Any:
        return moved_to_merge(values, YOSOMergeSettings)

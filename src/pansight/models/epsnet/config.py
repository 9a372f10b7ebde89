"""The configuration of an EPSNet."""

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

Scales = tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat]


class EPSNetMergeSettings(PrioritySettings):
    """Thresholds of the priority merge (Sec. 3.4)."""

    object_threshold: float = Field(default=0.2, ge=0, le=1)
    """a detection's score must exceed it; 0: all of them"""
    mask_threshold: float = Field(default=0.5, ge=0, le=1)
    """probability that a pixel of a mask must exceed"""


class EPSNetConfig(BaseModel):
    """Architecture, thresholds and losses (Chang et al., ACCV 2020; defaults: COCO, ResNet-101).

    The paper's ablations are options: `fusion`, `fusion_layers`, `semantic_head`, and the four loss weights,
    all 1 without "loss balance". Where paper and released code disagree, defaults are the code's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # backbone; depth, width and eps are a residual network's
    backbone: BackboneName = "resnet"
    depth: Literal[18, 34, 50, 101] = 101
    width: PositiveInt = 64
    backbone_norm: Literal["frozen", "batch"] = "frozen"
    backbone_eps: PositiveFloat = 1e-5
    # pyramid and heads
    pyramid_channels: PositiveInt = 256
    norm_groups: PositiveInt = 32
    prototypes: PositiveInt = 32
    fusion: Literal["attention", "normal", "none"] = "attention"
    """cross-layer attention, or plain convolutions of P3..P5 upsampled and added, or P3 as it is"""
    fusion_layers: Literal[1, 3] = 3
    """attention reads P3 alone, or P3..P5"""
    fusion_channels: PositiveInt = 128
    semantic_head: Literal["prototypes", "direct", "direct-fused"] = "prototypes"
    """combinations of prototypes; or a 1x1 convolution of P3 (EPSNet-D), or of what prototypes are made of"""
    # anchors
    anchor_scales: Scales = (24.0, 48.0, 96.0, 192.0, 384.0)
    """side in pixels at an input of `anchor_input`, of P3..P7"""
    anchor_input: PositiveInt = 550
    square_anchors: bool = False
    """all three anchors of a cell square, as the released ResNet-50 was trained by mistake"""
    # inference: detections
    score_floor: float = Field(default=0.05, ge=0, le=1)
    """best foreground probability that an anchor must exceed"""
    nms: Literal["fast", "exact"] = "fast"
    """`fast`: boxes that are suppressed themselves suppress others too. `exact`: greedy, by IoU above the
    threshold, of plain areas; the released code's "traditional" one also adds a pixel to every side, and
    suppresses at the threshold itself"""
    nms_threshold: float = Field(default=0.5, ge=0, le=1)
    candidates_per_class: PositiveInt = 200
    detections: PositiveInt = 100
    # inference: merge
    merge: EPSNetMergeSettings = EPSNetMergeSettings()
    other_without_things: bool = False
    """whether 'other' stays void's rival in images without a detection, as the paper says, too"""
    # losses
    positive_iou: float = Field(default=0.5, ge=0, le=1)
    negative_iou: float = Field(default=0.4, ge=0, le=1)
    crowd_iou: float = Field(default=0.7, ge=0, le=1)
    negatives: PositiveInt = 3
    """hard negatives per positive"""
    masks_to_train: PositiveInt = 100
    class_weight: NonNegativeFloat = 1.0
    box_weight: NonNegativeFloat = 1.5
    mask_weight: NonNegativeFloat = 6.125
    semantic_weight: NonNegativeFloat = 2.0

    @model_validator(mode="before")
    @classmethod
    def _former(cls, values: Any) -> Any:
        return moved_to_merge(values, EPSNetMergeSettings)

    @model_validator(mode="after")
    def _consistent(self) -> "EPSNetConfig":
        if self.negative_iou > self.positive_iou:
            raise ValueError("negative_iou must not exceed positive_iou")
        if self.fusion_layers == 1 and self.fusion != "attention":
            raise ValueError(f"fusion_layers is of attention; fusion is {self.fusion}, so leave it out")
        if self.semantic_head == "direct-fused" and self.fusion == "none":
            raise ValueError("direct-fused needs something fused; with fusion none use semantic_head direct")
        return self

"""Real-Time Panoptic Segmentation from Dense Detections (Hou, Li et al., CVPR 2020)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pansight.categories import Categories
from pansight.merging import Form, MergeSettings, calibrate_and_void
from pansight.models.base import PanopticModel, Target
from pansight.models.dense_detection.backbone import Backbone
from pansight.models.dense_detection.candidates import find_queries
from pansight.models.dense_detection.config import DenseDetectionConfig
from pansight.models.dense_detection.head import PanopticHead
from pansight.models.dense_detection.losses import (
    detection_losses,
    levelness_loss,
    semantic_loss,
    truth_of,
)
from pansight.models.dense_detection.mask_loss import mask_loss
from pansight.models.dense_detection.merge import merge_dense
from pansight.models.dense_detection.outputs import DenseOutputs
from pansight.models.preprocess import Preprocess, Sizes
from pansight.panoptic import PanopticBatch


class DenseDetection(PanopticModel):
    """Backbone with feature pyramid, panoptic head, masks from the boxes that suppression would drop.

    Keys are those of the released code.
    """

    method = "dense_detection"
    outputs = DenseOutputs
    config: DenseDetectionConfig

    def __init__(self, config: DenseDetectionConfig, categories: Categories, preprocess: Preprocess) -> None:
        super().__init__(categories, preprocess)
        self.config = config
        is_thing = torch.from_numpy(categories.is_thing.copy())
        if not is_thing.any():
            raise ValueError("dense detections need at least one thing category")
        self.backbone = Backbone(config)
        self.panoptic_head = PanopticHead(config, int(is_thing.sum()), len(categories))
        self.is_thing: Tensor
        self.thing_indices: Tensor
        self.thing_channels: Tensor
        self.register_buffer("is_thing", is_thing, persistent=False)
        self.register_buffer("thing_indices", is_thing.nonzero()[:, 0], persistent=False)
        channels = torch.where(is_thing, is_thing.cumsum(0) - 1, -1)
        self.register_buffer("thing_channels", channels, persistent=False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> DenseOutputs:
        """Run the network on normalised images of any size (multiples of 32 keep levels aligned)."""
        head = self.panoptic_head
        towers = head.towers(self.backbone(images))
        return DenseOutputs(
            tuple(head.box_cls_logits(tower) for tower in towers.classes),
            tuple(head.centerness(tower) for tower in towers.box),
            head.offsets(towers.box),
            head.levels(towers.box),
            head.semantics(towers.classes),
        )

    def losses(self, outputs: DenseOutputs, targets: list[Target]) -> dict[str, Float[Tensor, ""]]:
        """Weighted terms `box`, `centerness`, `class`, `semantic`, if configured `levelness` and `mask`.

        `mask` is 0 until the first query boxes exist, and grows with their quality at first.
        """
        config = self.config
        truth = truth_of(targets, outputs, self.thing_channels, config)
        losses = detection_losses(
            outputs,
            truth.levels,
            config,
            None if truth.impossible is None else truth.impossible[:, self.thing_indices],
        )
        semantic = semantic_loss(
            outputs.semantic_logits,
            truth.semantics,
            config.semantic_stride,
            config.hard_share,
            truth.unknown,
            truth.impossible,
        )
        losses["semantic"] = config.semantic_weight * semantic
        if outputs.levelness is not None and truth.dense is not None:
            losses["levelness"] = levelness_loss(outputs.levelness, truth.dense, config.level_bounds)
            if config.mask_loss:
                valid = [target.size for target in targets]
                height, width = targets[0].masks.shape[1:]
                queries = find_queries(outputs, Sizes((height, width), valid, valid), config, "pruned")
                mask = mask_loss(
                    outputs,
                    queries,
                    self.thing_channels,
                    truth.things,
                    truth.levels,
                    truth.dense,
                    config,
                )
                losses["mask"] = config.mask_weight * mask
        return losses

    def merge(
        self,
        outputs: DenseOutputs,
        sizes: Sizes,
        settings: MergeSettings | None = None,
        form: Form = "pruned",
    ) -> PanopticBatch:
        """Query boxes, their masks from the dense boxes, merged by falling score; stuff from semantics."""
        settings = self.config.merge.replaced(settings).checked(len(self.categories))
        merged = merge_dense(outputs, sizes, self.config, settings, self.is_thing, form)
        return calibrate_and_void(merged, settings, form)

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """FCOS's rules, as the paper names none: biases learn at twice the rate and do not decay.

        Nor do factors of norms and the scales of the levels. Frozen stages are left out.
        """
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            rate = learning_rate * (2.0 if name.endswith(".bias") else 1.0)
            decay = weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
        return [
            {"params": parameters, "lr": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ]

    def class_rows(self) -> dict[str, tuple[str, ...]]:
        """Semantic logits of all categories, box classes of the things."""
        names = self.categories.names
        things = tuple(names[index] for index in self.categories.thing_indices)
        layers = {"cls_logits": names, "box_cls_logits": things}
        return {
            f"panoptic_head.{layer}.{part}": rows
            for layer, rows in layers.items()
            for part in ("weight", "bias")
        }

    def fold(self) -> None:
        """Convolutions across levels are done before upsampling."""
        self.panoptic_head.fold()

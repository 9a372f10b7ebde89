"""YOSO: You Only Segment Once (Hu et al., CVPR 2023)."""

import copy
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pansight.categories import Categories
from pansight.merging import (
    Candidates,
    Form,
    MergeSettings,
    calibrate_and_void,
    merge_by_argmax,
    top_k_in_place,
    top_k_kept,
)
from pansight.models.backbone import backbone_of
from pansight.models.base import PanopticModel, Target
from pansight.models.embeddings import by_score
from pansight.models.preprocess import Preprocess, Sizes
from pansight.models.yoso.config import YOSOConfig
from pansight.models.yoso.head import Head, StagePrediction, apply_kernels, class_scores
from pansight.models.yoso.losses import yoso_losses
from pansight.models.yoso.neck import DeformableUpsample, FeaturePyramidAggregator, Neck
from pansight.panoptic import PanopticBatch


class YOSOOutputs(NamedTuple):
    """The network's output for a batch; masks are at a quarter of the padded input."""

    class_logits: Float[Tensor, "b n k"]
    """of the last stage, divided by the temperature; the last column is "no object" """
    kernels: Float[Tensor, "b n d"]
    """mask kernels of the last stage"""
    features: Float[Tensor, "b d h4 w4"]
    """the map X that kernels act on"""
    earlier: tuple[StagePrediction, ...]
    """predictions of the stages before the last, for the losses"""

    @property
    def mask_logits(self) -> Float[Tensor, "b n h4 w4"]:
        """All masks of the last stage; the merge computes only those that it keeps."""
        return apply_kernels(self.kernels, self.features)


class YOSO(PanopticModel):
    """Backbone, feature pyramid aggregator, separable dynamic decoder, argmax merge."""

    method = "yoso"
    outputs = YOSOOutputs
    training_outputs = ("earlier",)
    config: YOSOConfig

    def __init__(self, config: YOSOConfig, categories: Categories, preprocess: Preprocess) -> None:
        super().__init__(categories, preprocess)
        self.config = config
        self.backbone = backbone_of(config, stride_in_1x1=config.stride_in_1x1)
        self.backbone.freeze(config.frozen_stages)
        self.yoso_neck = Neck(
            self.backbone.channels, config.aggregated_dim, config.hidden_dim, config.aggregator
        )
        self.yoso_head = Head(config, len(categories))
        self.is_thing: Tensor
        self.register_buffer("is_thing", torch.from_numpy(categories.is_thing.copy()), persistent=False)

    def forward(
        self,
        images: Float[Tensor, "b 3 h w"],
        hard_masks: list[Bool[Tensor, "b n h4 w4"]] | None = None,
    ) -> YOSOOutputs:
        """Run the network on normalised images whose sides are multiples of 32.

        `hard_masks`, one per refinement, replaces the thresholded masks between stages (see Head.forward).
        """
        features = self.yoso_neck(self.backbone(images))
        earlier, last = self.yoso_head(features, hard_masks)
        return YOSOOutputs(last.class_logits, last.kernels, features, earlier)

    def losses(self, outputs: YOSOOutputs, targets: list[Target]) -> dict[str, Float[Tensor, ""]]:
        """Terms `s{stage}_loss_{ce,mask,dice}`, weighted; stage 0 has no classes."""
        return self.losses_and_pairs(outputs, targets)[0]

    def losses_and_pairs(
        self, outputs: YOSOOutputs, targets: list[Target]
    ) -> tuple[dict[str, Float[Tensor, ""]], list[Any]]:
        """The losses, and for each stage and image the matched (proposals, segments)."""
        stages = [*outputs.earlier, StagePrediction(outputs.class_logits, outputs.mask_logits)]
        return yoso_losses(stages, targets, self.yoso_head.criterion.empty_weight, self.config, self.is_thing)

    def merge(
        self,
        outputs: YOSOOutputs,
        sizes: Sizes,
        settings: MergeSettings | None = None,
        form: Form = "pruned",
    ) -> PanopticBatch:
        """Score first; only then compute, upsample and merge the masks that are kept (Sec. 3.5)."""
        settings = self.config.merge.replaced(settings).checked(len(self.categories))
        proposals = outputs.kernels.shape[1]
        scores, categories = class_scores(outputs.class_logits.float())
        kept = (scores > settings.object_threshold) & (categories < len(self.categories))
        overflow = torch.zeros_like(kept[:, 0])
        if form == "pruned":
            order = top_k_kept(kept, form)
        else:
            overflow = kept.sum(1, dtype=torch.int32) > settings.budget
            order = top_k_in_place(torch.where(kept, scores, -1.0), settings.budget)
        kernels = outputs.kernels.gather(1, order[..., None].expand(-1, -1, outputs.kernels.shape[2]))
        candidates = Candidates(
            apply_kernels(kernels, outputs.features),
            scores.gather(1, order),
            categories.gather(1, order),
            kept.gather(1, order),
        )
        rule = settings.keep_share, proposals, form, settings.max_memory
        merged = merge_by_argmax(candidates, sizes, self.is_thing, *rule)
        return calibrate_and_void(merged._replace(overflow=overflow), settings, form)

    @torch.no_grad()
    def embeddings(self, outputs: YOSOOutputs, sizes: Sizes, batch: PanopticBatch) -> Float[Tensor, "b s d"]:
        """The mask kernel of each segment; of joined stuff, the best one's."""
        scores, categories = class_scores(outputs.class_logits.float())
        return by_score(batch, outputs.kernels.float(), scores, categories)

    @property
    def stages(self) -> int:
        """Refinements of the head."""
        return len(self.yoso_head.mask_heads)

    def with_stages(self, stages: int) -> "YOSO":
        """A copy that shares all weights and ends after the first `stages` refinements: for inference."""
        model, head = copy.copy(self), copy.copy(self.yoso_head)
        model._modules, head._modules = dict(self._modules), dict(self.yoso_head._modules)
        head.mask_heads = nn.ModuleList(list(self.yoso_head.mask_heads)[:stages])
        model.yoso_head = head
        return model

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """AdamW groups of the released configuration.

        The backbone is trained at a tenth of the rate; parameters of norms do not decay; biases of
        convolutions and linear layers do.
        """
        norms = (nn.modules.batchnorm._NormBase, nn.LayerNorm)
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, module in self.named_modules():
            rate = learning_rate * (0.1 if name.startswith("backbone") else 1.0)
            decay = 0.0 if isinstance(module, norms) else weight_decay
            for parameter in module.parameters(recurse=False):
                groups.setdefault((rate, decay), []).append(parameter)
        return [
            {"params": parameters, "lr": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ]

    def class_rows(self) -> dict[str, tuple[str, ...]]:
        """Both layers of each refinement, "no object" last, and the losses' weights."""
        rows = (*self.categories.names, "(no object)")
        keys = [
            f"mask_heads.{stage}.fc_cls.{part}" for stage in range(self.stages) for part in ("weight", "bias")
        ]
        return {f"yoso_head.{key}": rows for key in ("criterion.empty_weight", *keys)}

    def fold(self) -> None:
        """Biases folded, too, and the map X never built (see Neck.defer).

        As masks are thresholded between stages, a logit within rounding of zero may fall to the other side.
        """
        for module in self.modules():
            if isinstance(module, DeformableUpsample | FeaturePyramidAggregator):
                module.fold()
        self.yoso_head.deferred = self.yoso_neck.defer()

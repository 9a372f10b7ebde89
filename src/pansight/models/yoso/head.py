"""The separable dynamic decoder (YOSO, Sec. 3.3): learned kernels, refined stage by stage."""

import math
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from pansight.models.yoso.attention import Rows, make_attention
from pansight.models.yoso.config import YOSOConfig


class StageOutput(NamedTuple):
    """What one stage predicts."""

    class_logits: Float[Tensor, "b n k"]
    """last column: no object; divided by the temperature"""
    kernels: Rows
    """mask kernels: their product with X gives the mask logits"""
    queries: Rows
    """the proposals as the next stage takes them"""


class StagePrediction(NamedTuple):
    """Classes and masks of one stage, in the form that the losses take."""

    class_logits: Float[Tensor, "b n k"] | None
    """None at stage 0, which predicts no classes"""
    mask_logits: Float[Tensor, "b n h w"]


class FeedForward(nn.Module):
    """Two linear layers around a ReLU, residual inside; keys `layers.0.0` and `layers.1`."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Sequential(nn.Linear(dim, hidden), nn.ReLU()), nn.Linear(hidden, dim))

    def forward(self, x: Rows) -> Rows:
        return x + self.layers(x)


def projection(dim: int, layers: int) -> nn.Sequential:
    """`layers` times linear (no bias), LayerNorm, ReLU."""
    blocks: list[nn.Module] = []
    for _ in range(layers):
        blocks += [nn.Linear(dim, dim, bias=False), nn.LayerNorm(dim), nn.ReLU()]
    return nn.Sequential(*blocks)


class Stage(nn.Module):
    """One refinement: pool X under the hard masks, mix, attend, predict new classes and mask kernels."""

    def __init__(self, config: YOSOConfig, classes: int) -> None:
        super().__init__()
        dim = config.hidden_dim
        size = (dim, config.proposals, config.attention_kernel, config.heads)
        self.temperature = config.temperature
        self.f_atten = make_attention(config.attention, *size)
        self.f_atten_norm = nn.LayerNorm(dim)
        self.k_atten = make_attention(config.attention, *size)
        self.k_atten_norm = nn.LayerNorm(dim)
        self.s_atten = nn.MultiheadAttention(dim, config.heads, batch_first=True)
        self.s_atten_norm = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim, config.feedforward_dim)
        self.ffn_norm = nn.LayerNorm(dim)
        self.cls_fcs = projection(dim, config.class_layers)
        self.fc_cls = nn.Linear(dim, classes + 1)
        self.mask_fcs = projection(dim, config.mask_layers)
        self.fc_mask = nn.Linear(dim, dim)

    def forward(
        self,
        features: Float[Tensor, "b e h w"],
        queries: Rows,
        hard_masks: Bool[Tensor, "b n h w"],
        deferred: Float[Tensor, "d e"] | None = None,
    ) -> StageOutput:
        device = features.device.type
        # the meta device knows no autocast
        if device == "meta" or not torch.is_autocast_enabled(device):
            return self._refine(features, queries, hard_masks, deferred)
        # Sums over whole maps leave float16's range, and rows of queries cost next to nothing.
        with torch.autocast(device, enabled=False):
            output = self._refine(features.float(), queries.float(), hard_masks, deferred)
        # alike, so that masks can be made outside autocast too
        return output._replace(kernels=output.kernels.to(features.dtype))

    def _refine(
        self,
        features: Float[Tensor, "b e h w"],
        queries: Rows,
        hard_masks: Bool[Tensor, "b n h w"],
        deferred: Float[Tensor, "d e"] | None,
    ) -> StageOutput:
        # The sum, not the mean: large masks outweigh the attention's normalised answer, as published.
        pooled = torch.bmm(hard_masks.flatten(2).to(features.dtype), features.flatten(2).transpose(1, 2))
        if deferred is not None:
            pooled = pooled @ deferred.T
        pooled = self.f_atten_norm(pooled + self.f_atten(queries, pooled))
        # The residual is the pooled feature, not the old kernel.
        kernels = self.k_atten_norm(pooled + self.k_atten(queries, pooled))
        attended = self.s_atten(kernels, kernels, kernels, need_weights=False)[0]
        kernels = self.s_atten_norm(kernels + attended)
        kernels = self.ffn_norm(self.ffn(kernels))
        class_logits = self.fc_cls(self.cls_fcs(kernels)) / self.temperature
        mask_kernels = self.fc_mask(self.mask_fcs(kernels))
        if deferred is not None:
            mask_kernels = mask_kernels @ deferred
        return StageOutput(class_logits, mask_kernels, kernels)


class ClassWeights(nn.Module):
    """The class loss's weights, a buffer that released checkpoints hold."""

    empty_weight: Tensor

    def __init__(self, classes: int, no_object_weight: float) -> None:
        super().__init__()
        weight = torch.ones(classes + 1)
        weight[-1] = no_object_weight
        self.register_buffer("empty_weight", weight)


class Head(nn.Module):
    """Stage 0: a learned 1x1 convolution gives first masks; then `stages` refinements."""

    def __init__(self, config: YOSOConfig, classes: int) -> None:
        super().__init__()
        self.criterion = ClassWeights(classes, config.no_object_weight)
        self.kernels = nn.Conv2d(config.hidden_dim, config.proposals, 1)
        self.mask_heads = nn.ModuleList(Stage(config, classes) for _ in range(config.stages))
        self.deferred: Tensor | None
        self.register_buffer("deferred", None, persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.mask_heads.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for stage in self.mask_heads:
            # Every entry alike, no object included: a shift that softmax ignores, kept as released.
            nn.init.constant_(cast(Stage, stage).fc_cls.bias, -math.log(99))

    def forward(
        self,
        features: Float[Tensor, "b d h w"],
        hard_masks: list[Bool[Tensor, "b n h w"]] | None = None,
    ) -> tuple[tuple[StagePrediction, ...], StageOutput]:
        """What every stage but the last predicts (stage 0 first), and the last stage's output.

        With `deferred` set (see Neck.defer), `features` are its inputs and kernels come multiplied with it.
        `hard_masks`, one per refinement, replaces the thresholded masks: two variants of one network can only
        be compared when no logit near zero falls to different sides.
        """
        queries = self.kernels.weight.flatten(1).expand(features.shape[0], -1, -1)
        logits, class_logits = self._first_masks(features), None
        earlier: list[StagePrediction] = []
        for index, stage in enumerate(self.mask_heads):
            earlier.append(StagePrediction(class_logits, logits))
            # sigmoid(x) > 0.5, padding included
            hard = logits.detach() > 0 if hard_masks is None else hard_masks[index]
            output: StageOutput = stage(features, queries, hard, self.deferred)
            queries, class_logits = output.queries, output.class_logits
            if index < len(self.mask_heads) - 1:
                logits = apply_kernels(output.kernels, features)
        return tuple(earlier), output

    def _first_masks(self, features: Float[Tensor, "b e h w"]) -> Float[Tensor, "b n h w"]:
        if self.deferred is None:
            return self.kernels(features)
        kernels = self.kernels.weight.flatten(1) @ self.deferred
        assert self.kernels.bias is not None
        # the last input channel is the constant 1
        kernels = torch.cat((kernels[:, :-1], kernels[:, -1:] + self.kernels.bias[:, None]), dim=1)
        return apply_kernels(kernels.expand(features.shape[0], -1, -1), features)


def apply_kernels(kernels: Rows, features: Float[Tensor, "b d h w"]) -> Float[Tensor, "b n h w"]:
    """Mask logits: each kernel as a 1x1 convolution over its image's features."""
    return torch.bmm(kernels, features.flatten(2)).unflatten(2, features.shape[2:])


def class_scores(class_logits: Float[Tensor, "b n k"]) -> tuple[Float[Tensor, "b n"], Tensor]:
    """Best probability and its class, no object (the last) included."""
    best = F.softmax(class_logits, dim=-1).max(dim=-1)
    return best.values, best.indices

"""Two convolutions and the argmax merge."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from one_per_category.config import ToyConfig
from pansight.categories import Categories
from pansight.merging import Candidates, Form, MergeSettings, calibrate_and_void, merge_by_argmax
from pansight.models.base import PanopticModel, Target
from pansight.models.preprocess import Preprocess, Sizes
from pansight.panoptic import PanopticBatch

STRIDE = 4


class ToyOutputs(NamedTuple):
    """What the network gives."""

    mask_logits: Float[Tensor, "b k h4 w4"]
    """one mask a category"""


class Toy(PanopticModel):
    """Each category is one mask."""

    method = "one_per_category"
    outputs = ToyOutputs
    config: ToyConfig

    def __init__(self, config: ToyConfig, categories: Categories, preprocess: Preprocess) -> None:
        super().__init__(categories, preprocess)
        self.config = config
        self.stem = nn.Conv2d(3, config.width, STRIDE, stride=STRIDE)
        self.head = nn.Conv2d(config.width, len(categories), 1)
        self.is_thing: Tensor
        self.register_buffer("is_thing", torch.from_numpy(categories.is_thing.copy()), persistent=False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> ToyOutputs:
        """Run the network."""
        return ToyOutputs(self.head(self.stem(images).relu()))

    def class_rows(self) -> dict[str, tuple[str, ...]]:
        """The head's."""
        return dict.fromkeys(("head.weight", "head.bias"), self.categories.names)

    def losses(self, outputs: ToyOutputs, targets: list[Target]) -> dict[str, Float[Tensor, ""]]:
        """Binary cross-entropy of every mask."""
        truth = torch.zeros_like(outputs.mask_logits)
        for image, target in zip(truth, targets, strict=True):
            small = F.avg_pool2d(target.masks.float(), STRIDE)
            image.index_reduce_(0, target.categories, small, "amax")
        return {"mask": F.binary_cross_entropy_with_logits(outputs.mask_logits, truth)}

    def merge(
        self,
        outputs: ToyOutputs,
        sizes: Sizes,
        settings: MergeSettings | None = None,
        form: Form = "pruned",
    ) -> PanopticBatch:
        """The argmax merge of all categories whose best pixel reaches the threshold."""
        chosen = self.config.merge.replaced(settings)
        scores = outputs.mask_logits.flatten(2).amax(2).sigmoid()
        categories = torch.arange(scores.shape[1], device=scores.device).expand(scores.shape)
        candidates = Candidates(outputs.mask_logits, scores, categories, scores > chosen.object_threshold)
        merged = merge_by_argmax(candidates, sizes, self.is_thing, chosen.keep_share, scores.shape[1], form)
        return calibrate_and_void(merged, chosen)

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """All parameters alike."""
        return [{"params": list(self.parameters()), "lr": learning_rate, "weight_decay": weight_decay}]

"""Rivals from Hugging Face transformers, timed in one run with ours: whole calls, their own merge included.

    pip install transformers        # never a dependency of Pansight
    pansight bench --model yoso-r50-coco --random-weights --engine openvino --size 512x800 \\
        --rival benchmarks/rivals/huggingface.py:eomt_s \\
        --rival benchmarks/rivals/huggingface.py:mask2former_r50

Weights are drawn, for nothing may be fetched: a network's time does not depend on them, a merge's does. What
decides it is how many masks are left, so each rival's score threshold is set, image by image, so that its
KEPT best queries become masks, as in a picture of a street. Ours with drawn weights merges as many as pass
its own threshold.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pansight.categories import Categories
from pansight.models.preprocess import Preprocess
from pansight.panoptic import PanopticBatch
from pansight.runtime.engines.protocol import Rgb, Size
from pansight.zoo.presets import preset
from pansight.zoo.spec import ModelSpec

KEPT = 20
"""masks that reach each rival's merge"""

SEED = 0


class HuggingFaceEngine:
    """A universal segmentation model of transformers with its image processor, as an engine.

    Its own `post_process_panoptic_segmentation` makes the map, at the image's size.
    """

    max_batch: int | None = None
    device = "cpu"

    def __init__(self, model: Any, processor: Any, preprocess: Preprocess, **options: Any) -> None:
        self.model, self.processor, self.options = model.eval(), processor, options
        self.categories = Categories.builtin("coco")
        # a stand-in: what is asked of it are the categories and how large an image the model takes
        yoso = preset("yoso-r50-coco")
        self.spec = ModelSpec(
            name=model.config.model_type,
            method=yoso.method,
            config=yoso.config,
            categories=self.categories,
            preprocess=preprocess,
            description="transformers, weights drawn",
        )

    @torch.inference_mode()
    def __call__(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> PanopticBatch:
        """Panoptic maps of one batch; see Engine."""
        inputs = self.processor(images=list(frames), return_tensors="pt")
        outputs = self.model(**{name: inputs[name] for name in ("pixel_values",)})
        wanted = [(frame.shape[0], frame.shape[1]) for frame in frames] if sizes is None else list(sizes)
        found = self.processor.post_process_panoptic_segmentation(
            outputs, target_sizes=wanted, threshold=self._threshold(outputs), **self.options
        )
        height, width = (max(size[axis] for size in wanted) for axis in (0, 1))
        rows = max(1, *(len(one["segments_info"]) for one in found))
        ids = torch.zeros(len(frames), height, width, dtype=torch.int32)
        categories = torch.full((len(frames), rows), -1, dtype=torch.int32)
        scores = torch.zeros(len(frames), rows)
        areas = torch.zeros(len(frames), rows, dtype=torch.int32)
        for number, (one, (h, w)) in enumerate(zip(found, wanted, strict=True)):
            own = one["segmentation"].to(torch.int64)
            numbers = [info["id"] for info in one["segments_info"]]
            table = torch.zeros(max([0, *numbers]) + 2, dtype=torch.int32)
            for row, info in enumerate(one["segments_info"]):
                table[info["id"] + 1] = row + 1
                categories[number, row] = min(info["label_id"], len(self.categories) - 1)
                scores[number, row] = info["score"]
            ids[number, :h, :w] = table[(own + 1).clamp(min=0)]
            areas[number] = torch.bincount(ids[number].flatten(), minlength=rows + 1)[1 : rows + 1]
        return PanopticBatch(ids, categories, scores, areas)

    @staticmethod
    def _threshold(outputs: Any) -> float:
        """So that the KEPT best queries of the batch's first image pass."""
        scores, labels = outputs.class_queries_logits[0].softmax(-1).max(-1)
        scores = scores[labels != outputs.class_queries_logits.shape[-1] - 1].sort(descending=True).values
        return float(scores[min(KEPT, len(scores) - 1)]) if len(scores) else 0.0


def eomt_s(size: int = 640) -> HuggingFaceEngine:
    """EoMT-S (CVPR 2025): ViT-S/16, 640 x 640, 200 queries in the last three of twelve blocks."""
    from transformers import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor

    torch.manual_seed(SEED)
    config = EomtConfig(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        num_blocks=3,
        image_size=size,
        num_labels=133,
    )
    processor = EomtImageProcessor(
        size={"shortest_edge": size, "longest_edge": size}, do_split_image=False, do_pad=True
    )
    preprocess = Preprocess(squash=(size, size), divisor=16)
    return HuggingFaceEngine(EomtForUniversalSegmentation(config), processor, preprocess)


def mask2former_r50(short: int = 800, longest: int = 1333) -> HuggingFaceEngine:
    """Mask2Former (CVPR 2022) with ResNet-50, 100 queries, nine decoder layers."""
    from transformers import (
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        Mask2FormerImageProcessor,
        ResNetConfig,
    )

    torch.manual_seed(SEED)
    backbone = ResNetConfig(out_features=["stage1", "stage2", "stage3", "stage4"])
    config = Mask2FormerConfig(backbone_config=backbone, num_labels=133)
    processor = Mask2FormerImageProcessor(
        size={"shortest_edge": short, "longest_edge": longest}, size_divisor=32, ignore_index=255
    )
    preprocess = Preprocess(short=short, longest=longest)
    model = Mask2FormerForUniversalSegmentation(config)
    return HuggingFaceEngine(model, processor, preprocess, label_ids_to_fuse=set(range(80, 133)))


ENGINES: dict[str, Any] = {"eomt_s": eomt_s, "mask2former_r50": mask2former_r50}
"""what `--rival FILE:NAME` can name"""


if __name__ == "__main__":
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    for name, make in ENGINES.items():
        batch = make()([image])
        print(name, tuple(batch.ids.shape), int((batch.categories >= 0).sum()), "segments")

"""Our dense-detection model with a golden file's weights, and what it makes of the file's pictures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from reader import Case, Golden, read, state_digest
from torch import Tensor

from pansight.merging.sizes import Sizes
from pansight.models.dense_detection import (
    DenseDetection,
    DenseDetectionConfig,
    DenseMergeSettings,
    DenseOutputs,
)
from pansight.zoo import preset

MERGE = DenseMergeSettings(object_threshold=0.1, max_occlusion=0.5, stuff_area=256, budget=100)
"""what the file's panoptic maps were made with; its settings do not name these"""

LEVELS = range(5)


@dataclass
class Run:
    """One forward pass."""

    sizes: Sizes
    outputs: DenseOutputs
    taps: dict[str, Tensor]
    """by path under a case's `intermediates`"""


@dataclass
class Subject:
    """A golden file and our model with its weights."""

    golden: Golden
    model: DenseDetection
    digest: str
    runs: dict[str, Run] = field(default_factory=dict)
    folded: DenseDetection | None = None

    def case(self, name: str) -> Case:
        return self.golden.cases[name]

    def config(self, name: str) -> DenseDetectionConfig:
        """The model's, with a case's limits and the merge's parameters."""
        told = self.case(name).settings["config"]
        changes = {
            "score_threshold": told["pre_nms_thresh"],
            "candidates_per_level": told["pre_nms_top_n"],
            "nms_threshold": told["nms_thresh"],
            "detections": told["fpn_post_nms_top_n"],
            "merge": MERGE,
        }
        return self.model.config.model_copy(update=changes)

    def run(self, name: str) -> Run:
        """What the network makes of a case's images; cases of one image share it."""
        name = "full" if name in ("limits", "none", "cap") else name
        if name not in self.runs:
            images, sizes = inputs(self.case(name), self.model)
            with torch.no_grad():
                self.runs[name] = Run(sizes, self.model(images), intermediates(self.model, images))
        return self.runs[name]

    def optimized(self) -> DenseDetection:
        if self.folded is None:
            self.folded = self.model.optimized()
        return self.folded


def load(path: Path) -> Subject:
    golden = read(path)
    state = golden.state()
    spec = preset("dense-r50-cityscapes")
    assert isinstance(spec.config, DenseDetectionConfig)
    with torch.device("meta"):
        model = DenseDetection(spec.config, spec.categories, spec.preprocess)
    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    model.load_state_dict(tensors, strict=True, assign=True)
    is_thing = torch.from_numpy(spec.categories.is_thing.copy())
    model.is_thing, model.thing_indices = is_thing, is_thing.nonzero()[:, 0]
    return Subject(golden, model.eval(), state_digest(state))


def inputs(case: Case, model: DenseDetection) -> tuple[Tensor, Sizes]:
    """Network input as the reference had it: zero beyond the true size, after normalisation."""
    names = sorted(path for path in case.answers if path.startswith("image"))
    pictures = torch.stack([torch.from_numpy(case[name]).permute(2, 0, 1) for name in names])
    images = model.preprocess.normalise(pictures)
    valid = [(height, width) for height, width in case.settings["image_sizes"]]
    for image, (height, width) in zip(images, valid, strict=True):
        image[:, height:] = 0
        image[:, :, width:] = 0
    return images, Sizes((images.shape[2], images.shape[3]), valid, valid)


def intermediates(model: DenseDetection, images: Tensor) -> dict[str, Tensor]:
    """Maps on the way, under the names of the file."""
    features = model.backbone.body(images)
    pyramid = model.backbone.fpn((features.res3, features.res4, features.res5))
    head = model.panoptic_head
    towers = head.towers(pyramid)
    taps: dict[str, Any] = {
        "c3_c5": (features.res3, features.res4, features.res5),
        "fpn": pyramid,
        "bbox_tower": towers.box,
        "cls_tower": towers.classes,
        "bbox_pred": [head.bbox_pred(tower) for tower in towers.box],
    }
    return {f"{name}/{level}": tap for name, levels in taps.items() for level, tap in enumerate(levels)}


def stored_outputs(case: Case) -> DenseOutputs:
    """The reference's own head output."""

    def of(path: str) -> Tensor:
        return torch.from_numpy(case[f"intermediates/{path}"])

    levels = [
        tuple(of(f"{name}/{level}") for level in LEVELS) for name in ("box_cls", "centerness", "bbox_reg")
    ]
    return DenseOutputs(levels[0], levels[1], levels[2], of("levelness_logits"), of("semantic_logits"))

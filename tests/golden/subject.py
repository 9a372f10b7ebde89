"""Our YOSO with a golden file's weights, and what it makes of the file's pictures."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from reader import Case, Golden, read, state_digest
from taps import Taps, finish, watched
from torch import Tensor

from pansight.categories import Categories
from pansight.models.base import Target
from pansight.models.preprocess import Preprocess, Sizes
from pansight.models.yoso import YOSO, YOSOConfig, YOSOOutputs


@dataclass
class Run:
    """One forward pass."""

    images: Tensor
    sizes: Sizes
    outputs: YOSOOutputs
    taps: Taps

    hard_masks: list[Tensor]
    """the reference's, between stages"""

    def flipped(self, stage: int) -> Tensor:
        """Our logits where they say otherwise than the reference's hard masks of that stage."""
        logits = self.outputs.earlier[stage].mask_logits
        return logits[(logits > 0) != self.hard_masks[stage]]


@dataclass
class Subject:
    """A golden file and our model with its weights."""

    golden: Golden
    model: YOSO
    digest: str
    runs: dict[str, Run] = field(default_factory=dict)
    folded: YOSO | None = None

    def case(self, name: str) -> Case:
        return self.golden.cases[name]

    def run(self, name: str) -> Run:
        """What the model makes of a case's images; cases with equal images share the network's part."""
        images, sizes = inputs(self.case(name), self.model)
        for run in self.runs.values():
            if torch.equal(run.images, images):
                return replace(run, sizes=sizes)
        with torch.no_grad(), watched(self.model) as taps:
            outputs = self.model(images)
            hard_masks = self.hard_masks(name, outputs.mask_logits.shape)
            run = Run(images, sizes, outputs, taps, hard_masks)
            if any(len(run.flipped(stage)) for stage in range(2)):
                run.outputs = self.model(images, hard_masks)
        finish(run.taps, run.outputs)
        self.runs[name] = run
        return run

    def hard_masks(self, name: str, shape: tuple[int, ...]) -> list[Tensor]:
        """The reference's thresholded masks of both refinements."""
        # the case without targets has the other's pictures
        case = self.case("losses" if name == "losses-empty" else name)
        masks = (np.unpackbits(case[f"hard_mask/{stage}"]).astype(np.bool_) for stage in range(2))
        return [torch.from_numpy(mask.reshape(shape)) for mask in masks]

    def optimized(self) -> YOSO:
        if self.folded is None:
            self.folded = self.model.optimized()
        return self.folded


def load(path: Path) -> Subject:
    golden = read(path)
    state = golden.state()
    with torch.device("meta"):
        model = YOSO(YOSOConfig(), Categories.builtin("coco"), Preprocess().resized("none"))
    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    model.load_state_dict(tensors, strict=True, assign=True)
    return Subject(golden, model.eval(), state_digest(state))


def inputs(case: Case, model: YOSO) -> tuple[Tensor, Sizes]:
    names = sorted(path for path in case.answers if path.startswith("image"))
    images, sizes = model.preprocess.batch([case[name] for name in names])
    output = case.settings.get("output_sizes", sizes.output)
    return images, sizes._replace(output=[(height, width) for height, width in output])


def targets(case: Case, padded: tuple[int, int]) -> list[Target]:
    found = []
    for picture in range(2):
        small = torch.from_numpy(case[f"target{picture}/masks"])
        masks = torch.zeros(len(small), *padded, dtype=torch.bool)
        masks[:, : small.shape[1], : small.shape[2]] = small
        labels = torch.from_numpy(case[f"target{picture}/labels"])
        found.append(Target(masks, labels, torch.zeros(len(labels), dtype=torch.bool), padded))
    return found

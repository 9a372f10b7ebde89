"""Our Panoptic FCN with a golden file's weights, and what it makes of the file's pictures."""

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from reader import Case, Golden, read, state_digest
from torch import Tensor
from torch.nn import functional as F

from pansight.categories import Categories
from pansight.merging.sizes import Sizes
from pansight.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig
from pansight.models.panoptic_fcn.outputs import PanopticFCNOutputs
from pansight.models.panoptic_fcn.targets import PanopticFCNTruth
from pansight.zoo import preset

OVERRIDES = {
    "center_thres": "thing_threshold",
    "sem_thres": "stuff_threshold",
    "thing_generator.class_spec": "class_aware_fusion",
    "thing_generator.sim_thres": "similarity_threshold",
    "inst_thres": "mask_threshold",
}
"""the reference's names of what cases change, and ours"""


@dataclass
class Run:
    """One forward pass."""

    images: Tensor
    sizes: Sizes
    outputs: PanopticFCNOutputs
    taps: dict[str, Tensor]
    """by path under a case"""


@dataclass
class Subject:
    """A golden file and our model with its weights."""

    golden: Golden
    model: PanopticFCN
    digest: str
    runs: dict[tuple[str, bool], Run] = field(default_factory=dict)
    folded: PanopticFCN | None = None

    def case(self, name: str) -> Case:
        return self.golden.cases[name]

    def config(self, name: str) -> PanopticFCNConfig:
        """The model's, with what a case changes."""
        changes = {
            OVERRIDES[key]: value for key, value in self.case(name).settings.get("overrides", {}).items()
        }
        # as from a file: fields that are the merge's find their place
        return type(self.model.config).model_validate({**self.model.config.model_dump(), **changes})

    def told(self, name: str, *, optimized: bool = False) -> PanopticFCN:
        """The model with a case's configuration; weights are shared."""
        if optimized and self.folded is None:
            self.folded = self.model.optimized()
        model = self.folded if optimized else self.model
        assert model is not None
        memo = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
        copy = deepcopy(model, memo)
        copy.config = self.config(name)
        return copy

    def run(self, name: str, *, optimized: bool = False) -> Run:
        """What the network makes of a case's picture; variants share their base's."""
        base = name.split("-")[0]
        if (base, optimized) not in self.runs:
            images, sizes = inputs(self.case(base), self.model)
            model = self.told(base, optimized=optimized)
            with torch.no_grad():
                outputs = model(images)
                taps = {} if optimized else intermediates(model, images)
            self.runs[base, optimized] = Run(images, sizes, outputs, taps)
        return self.runs[base, optimized]


def load(path: Path) -> Subject:
    golden = read(path)
    state = golden.state()
    star = "feature_encoder.encode_head.encode_head_head_1.dcnv2.weight" in state
    spec = preset("panoptic-fcn-star-r50-coco" if star else "panoptic-fcn-r50-coco")
    assert isinstance(spec.config, PanopticFCNConfig)
    with torch.device("meta"):
        model = PanopticFCN(spec.config, Categories.builtin("coco"), spec.preprocess)
    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    model.load_state_dict(tensors, strict=True, assign=True)
    # what is not in state dicts
    whole = PanopticFCN(
        PanopticFCNConfig(depth=18, width=8, pyramid_channels=8, encoder_channels=8),
        spec.categories,
        spec.preprocess,
    )
    for key in ("thing_categories", "stuff_categories", "thing_channels", "stuff_channels"):
        setattr(model, key, getattr(whole, key))
    return Subject(golden, model.eval(), state_digest(state))


def inputs(case: Case, model: PanopticFCN) -> tuple[Tensor, Sizes]:
    """The picture as it is, already of the network's size and channel order."""
    picture = torch.from_numpy(case["image"])
    padded, height, width = network_input([picture], model)
    output = tuple(case.settings["output_size"])
    return padded, Sizes((padded.shape[2], padded.shape[3]), [(height, width)], [output])


def network_input(pictures: list[Tensor], model: PanopticFCN) -> tuple[Tensor, int, int]:
    """BGR pictures as one batch, 0 beyond them; and the last one's size."""
    sizes = [picture.shape[1:] for picture in pictures]
    height, width = model.preprocess.padded_size([(h, w) for h, w in sizes])
    # normalise turns RGB to BGR
    parts = [
        F.pad(model.preprocess.normalise(picture.flip(0)[None]), (0, width - w, 0, height - h))
        for picture, (h, w) in zip(pictures, sizes, strict=True)
    ]
    return torch.cat(parts), *sizes[-1]


def intermediates(model: PanopticFCN, images: Tensor) -> dict[str, Tensor]:
    """Maps on the way, under the names of the file."""
    levels = model.backbone(images)
    taps = {f"fpn/p{number}": level for number, level in enumerate(levels, 2)}
    return {**taps, "semantic_fpn": model.semantic_fpn(levels[:4])}


def truths(case: Case) -> list[PanopticFCNTruth]:
    """The annotations of the case of losses."""
    found = []
    for picture in range(2):
        of = {
            name: torch.from_numpy(case[f"targets/{picture}/{name}"])
            for name in ("gt_boxes", "gt_classes", "gt_masks", "sem_seg")
        }
        semantics = torch.where(of["sem_seg"] == 255, -1, of["sem_seg"])
        found.append(PanopticFCNTruth(of["gt_boxes"], of["gt_classes"], of["gt_masks"], semantics))
    return found

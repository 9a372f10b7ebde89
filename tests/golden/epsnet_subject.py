"""Our EPSNet with a golden file's weights, and what it makes of the file's picture."""

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from reader import Case, Golden, read, state_digest
from torch import Tensor
from torch.nn import functional as F

from pansight.merging.sizes import Sizes
from pansight.models.epsnet import EPSNet, EPSNetMergeSettings
from pansight.models.epsnet.anchors import decode
from pansight.models.epsnet.heads import InstanceHead
from pansight.models.epsnet.outputs import EPSNetOutputs
from pansight.models.epsnet.targets import EPSNetTruth
from pansight.zoo import preset
from pansight.zoo.methods import METHODS, construct

Taps = dict[str, Tensor]

THRESHOLDS = {"thr0.2": 0.2, "thr0": 0.0, "nodet": 1.0, "allfiltered": 0.9999}
"""what the names of panoptic maps say; no score exceeds 1"""


@dataclass
class Subject:
    """A golden file and our model with its weights."""

    golden: Golden
    model: EPSNet
    digest: str
    runs: dict[bool, tuple[EPSNetOutputs, Taps]] = field(default_factory=dict)
    folded: EPSNet | None = None

    def case(self, name: str) -> Case:
        return self.golden.cases[name]

    def optimized(self) -> EPSNet:
        if self.folded is None:
            self.folded = self.model.optimized()
        return self.folded

    def run(self, optimized: bool = False) -> tuple[EPSNetOutputs, Taps]:
        """Outputs for the picture, and maps on the way under the names of the file."""
        if optimized not in self.runs:
            model = self.optimized() if optimized else self.model
            images, _ = inputs(self.case("image"), model)
            with torch.inference_mode():
                outputs = model(images)
                self.runs[optimized] = outputs, intermediates(model, images, outputs)
        return self.runs[optimized]

    def settings(self, name: str) -> EPSNetMergeSettings:
        """Those of a panoptic map."""
        threshold = THRESHOLDS[name.split("_")[1]]
        return self.model.config.merge.replaced({"object_threshold": threshold, "budget": 100})


def load(path: Path) -> Subject:
    golden = read(path)
    state = golden.state()
    spec = preset("epsnet-r50-coco")
    model = construct(spec.method, spec.config, spec.categories, spec.preprocess, blank=True)
    assert isinstance(model, EPSNet)
    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    model.load_state_dict(METHODS["epsnet"].adapted(tensors), strict=True)
    return Subject(golden, model.eval(), state_digest(state))


def inputs(case: Case, model: EPSNet) -> tuple[Tensor, Sizes]:
    """The picture, which is stored as BGR, through our own preprocessing."""
    return model.preprocess.batch([case["image_bgr"][..., ::-1].copy()])


def sizes_of(name: str) -> Sizes:
    """Of the panoptic map called so."""
    output = (550, 550) if name.startswith("550") else (480, 640)
    return Sizes((550, 550), [(550, 550)], [output])


def intermediates(model: EPSNet, images: Tensor, outputs: EPSNetOutputs) -> Taps:
    features = model.backbone(images)
    levels = model.fpn((features.res3, features.res4, features.res5))
    attention = model.CALayer
    prototypes = model.proto_net[:-1](attention(levels))
    head = model.prediction_layers[0]
    assert isinstance(head, InstanceHead)
    taps = {f"C{number}": one for number, one in enumerate(features[1:], 3)}
    taps |= {f"P{number}": one for number, one in enumerate(levels, 3)}
    query, keys = (
        [layer(level).flatten(2) for level in levels[:3]]
        for layer in (attention.query_conv, attention.key_conv)
    )
    single = deepcopy(attention)
    single.sources = 1
    for source, key in enumerate(keys):
        # the literal form: attention rows are whole
        weights = (query[0].transpose(1, 2) @ key).softmax(2)
        taps[f"attn/{source}"] = weights
        value = attention.value_conv(levels[source]).flatten(2)
        answer = (value @ weights.transpose(1, 2)).unflatten(2, levels[0].shape[2:])
        taps[f"ca_out/{source}"] = levels[0] + attention.out_conv(answer)
    coarse = levels[-1]
    assert isinstance(model.semantic_seg_conv, torch.nn.Sequential)
    for layer in model.semantic_seg_conv:
        coarse = layer(coarse)
    semantic = model.semantic_seg_conv(levels[-1])
    unsquashed = torch.cat(
        [head.mask_layer(head.upfeature(level)).permute(0, 2, 3, 1).reshape(1, -1, 32) for level in levels],
        dim=1,
    )
    return taps | {
        "proto_in": attention(levels),
        "proto_pre_relu": prototypes,
        "proto": outputs.prototypes.permute(0, 2, 3, 1),
        "upfeature_P5": head.upfeature(levels[2]),
        "loc": outputs.boxes,
        "conf_logits": outputs.class_logits,
        "conf": outputs.class_logits.softmax(2),
        "mask_pre_tanh": unsquashed,
        "mask": outputs.coefficients,
        "priors": outputs.anchors,
        "decoded_boxes": decode(outputs.boxes, outputs.anchors)[0],
        "segm": coarse,
        "sem_coef": semantic[0],
        "sem_logits_138": outputs.semantic_logits[0],
    }


def loss_inputs(subject: Subject) -> tuple[Tensor, list[EPSNetTruth]]:
    """The picture and its mirror image, and the truth of both."""
    case = subject.case("losses")
    image, _ = inputs(subject.case("image"), subject.model)
    truths = []
    for picture, crowds in enumerate(case.settings["num_crowds"]):
        rows = torch.from_numpy(case[f"targets/{picture}"]).float()
        masks = torch.from_numpy(case[f"masks/{picture}"]).bool()
        semantics = torch.from_numpy(case[f"stuff/{picture}"]).long()
        single = len(rows) - crowds
        truths.append(
            EPSNetTruth(
                rows[:single, :4], rows[:single, 4].long(), masks[:single], rows[single:, :4], semantics
            )
        )
    return torch.cat((image, image.flip(3))), truths


def enlarged_logits(outputs: EPSNetOutputs, size: tuple[int, int]) -> Tensor:
    return F.interpolate(outputs.semantic_logits, size=size, mode="bilinear", align_corners=False)[0]

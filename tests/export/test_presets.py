"""The matrix: every preset x {pruned, fixed, exported with a dynamic batch, bfloat16}.

Presets are run with few channels, few layers and four categories: what they are made of stays. The two forms
of the merge are seen of every preset in both precisions. Graphs are seen of one preset of each structure:
`EXCLUDED` names, for every other one, the preset that stands for it and why. Compiling is tested
beside each model and engine.
"""

import functools
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pansight.categories import Categories, Category
from pansight.export.whole import WholeCut
from pansight.merging import MergeSettings
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Preprocess, Sizes
from pansight.runtime.engines.torch_engine import Network
from pansight.zoo.methods import construct, find_method
from pansight.zoo.presets import released
from pansight.zoo.spec import ModelSpec

GRAPHS = ("yoso-r50-coco", "dense-r50-cityscapes", "epsnet-r50-coco", "panoptic-fcn-star-dcn101-coco")

EXCLUDED = {
    "yoso-": (
        "yoso-r50-coco",
        "more layers of the same kinds, another temperature, size or number of classes",
    ),
    "dense-": ("dense-r50-cityscapes", "thresholds, size and losses alone differ"),
    "epsnet-": ("epsnet-r50-coco", "depth and constants of the anchors alone differ"),
    "panoptic-fcn-": (
        "panoptic-fcn-star-dcn101-coco",
        "its backbone and encoder are deformable; plain convolutions, which the other methods' graphs hold, "
        "stand in the places of some of them, and depth, thresholds and size differ",
    ),
}
"""by beginnings of names: who is compiled and exported in place of a preset, and what differs"""

SPECS = {spec.name: spec for spec in released()}

GARDEN = Categories(
    [
        Category("sky", False, 1, (0, 0, 9)),
        Category("dog", True, 2, (9, 0, 0)),
        Category("lawn", False, 3, (0, 9, 0)),
        Category("cat", True, 4, (9, 9, 0)),
    ],
    name="garden",
)

SHRUNK: dict[str, dict[str, Any]] = {
    "yoso": {
        "width": 8,
        "aggregated_dim": 16,
        "hidden_dim": 32,
        "proposals": 10,
        "feedforward_dim": 64,
        "heads": 4,
    },
    "dense_detection": {"width": 8, "pyramid_channels": 16, "box_channels": 16, "class_channels": 16},
    "panoptic_fcn": {"width": 8, "pyramid_channels": 16, "norm_group": 4, "encoder_channels": 8, "top": 12},
    "epsnet": {
        "width": 8,
        "pyramid_channels": 16,
        "norm_groups": 4,
        "prototypes": 8,
        "fusion_channels": 8,
        "detections": 12,
        "score_floor": 0.2,
    },
}

LOOSE = {"object_threshold": 0.0, "keep_share": 0.0, "stuff_area": 1, "budget": 128}
STRICT = {**LOOSE, "object_threshold": 0.1, "budget": 2}

SIZES = Sizes((64, 96), [(64, 96)], [(50, 70)])


@pytest.fixture(autouse=True)
def _traced(unchecked_shapes: None) -> None:
    """While a graph is made, sizes are symbols, which annotations do not allow for."""


@functools.cache
def shrunk(name: str) -> PanopticModel:
    """The preset's structure with few channels, four categories and weights that see something."""
    spec: ModelSpec = SPECS[name]
    changes = {**SHRUNK[spec.method], "depth": 50 if getattr(spec.config, "deform_stages", ()) else 18}
    config = find_method(spec.method).config.model_validate({**spec.config.model_dump(), **changes})
    torch.manual_seed(0)
    divisor = 1 if spec.preprocess.squash else 32
    preprocess = Preprocess(divisor=divisor, channels=spec.preprocess.channels)
    model = construct(spec.method, config, GARDEN, preprocess)
    speaking = ("position_head.out", "kernel_head.out", "thing_g", "stuff_g", "yoso_head.kernels")
    for key, tensor in model.state_dict().items():
        if key.startswith(speaking):
            tensor.uniform_(-0.5, 0.5)
        elif key.endswith(("conf_layer.bias", "box_cls_logits.bias")):
            tensor.uniform_(-1, 2)
        elif key.endswith("fc_cls.bias"):
            tensor[-1] = -8.0  # no object
    return model.eval().optimized()


def replaced(model: PanopticModel, changes: Mapping[str, Any]) -> MergeSettings:
    """The model's settings with those of the changes that it has."""
    fields = type(model.merge_settings).model_fields
    return model.merge_settings.replaced({name: changes[name] for name in changes if name in fields})


def images(count: int, height: int = 64, width: int = 96) -> Tensor:
    """Noise of patches, as the whole cut takes it."""
    generator = torch.Generator().manual_seed(count * height)
    small = torch.randint(0, 256, (count, height // 8, width // 8, 3), generator=generator, dtype=torch.uint8)
    return small.repeat_interleave(8, 1).repeat_interleave(8, 2)


def whole(name: str) -> WholeCut:
    """The preset's whole cut with a budget of two, of which a graph is small."""
    model = shrunk(name)
    model.config = model.config.model_copy(update={"merge": replaced(model, STRICT)})
    return WholeCut(model, model.preprocess, "grid")


def same(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> bool:
    """All tables, and all but a few pixels, which kernels that round otherwise may decide otherwise."""
    return all(
        one.shape == other.shape and bool((one != other).float().mean() < 0.01)
        for one, other in zip(found[:2], wanted[:2], strict=True)
    )


@pytest.mark.parametrize("name", SPECS)
def test_both_forms_give_one_map_in_both_precisions(name: str) -> None:
    model = shrunk(name)
    settings = replaced(model, LOOSE)
    network = Network(model, model.preprocess, "float32")
    for precision in (torch.float32, torch.bfloat16):
        half = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision is torch.bfloat16)
        with torch.inference_mode(), half:
            outputs = network(images(1).permute(0, 3, 1, 2))
        with torch.inference_mode():
            pruned, fixed = (model.merge(outputs, SIZES, settings, form) for form in ("pruned", "fixed"))
        assert fixed.overflow is not None and not fixed.overflow.any()
        assert int((pruned.categories >= 0).sum()) > 0, precision
        # ties: values next to a threshold, which the two ways of upsampling round otherwise
        assert int((pruned.ids != fixed.ids).sum()) <= 3, precision


class ShapedCut(nn.Module):
    """A whole cut whose sizes are those of two tensors, of which nothing else is read.

    `torch.export` follows shapes of inputs through a graph, and does not follow numbers inside tensors.
    """

    def __init__(self, cut: WholeCut) -> None:
        super().__init__()
        self.cut = cut

    def forward(
        self,
        images: UInt8[Tensor, "b h w 3"] | Float[Tensor, "b h w 3"],
        valid: UInt8[Tensor, "vh vw"],
        output: UInt8[Tensor, "oh ow"],
        *thresholds: Float[Tensor, ""],
    ) -> tuple[Tensor, ...]:
        """See WholeCut."""
        sizes = (valid.shape[0], valid.shape[1]), (output.shape[0], output.shape[1])
        return self.cut.maps(images, *sizes, thresholds)


def canvas(height: int, width: int) -> Tensor:
    """A tensor that has nothing but a size."""
    return torch.zeros(1, 1, dtype=torch.uint8).expand(height, width)


@pytest.mark.parametrize("name", GRAPHS)
def test_exports_with_a_dynamic_batch(name: str) -> None:
    module = ShapedCut(whole(name))
    thresholds = module.cut.example(1)[3:]
    shapes: Any = ({0: torch.export.Dim("batch", min=1, max=64)}, {}, {}, tuple({} for _ in thresholds))
    sizes = canvas(60, 90), canvas(50, 70)
    with torch.no_grad():
        program = torch.export.export(
            module, (images(2), *sizes, *thresholds), dynamic_shapes=shapes, strict=False
        ).module()
        stricter = (torch.tensor(0.4), *thresholds[1:])
        for count, told in ((1, thresholds), (3, stricter)):
            assert same(program(images(count), *sizes, *told), module(images(count), *sizes, *told)), count


@pytest.mark.parametrize("name", SPECS)
def test_whoever_is_left_out_has_a_stand_in_and_a_reason(name: str) -> None:
    if name not in GRAPHS:
        stand_in, reason = next(entry for start, entry in EXCLUDED.items() if name.startswith(start))
        assert stand_in in GRAPHS and SPECS[stand_in].method == SPECS[name].method
        assert reason

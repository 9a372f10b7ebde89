"""The model as a whole: sizes, options of the ablations, precision, graphs, training."""

import copy
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from pansight.categories import Categories, Category
from pansight.merging.sizes import Sizes
from pansight.models.epsnet import EPSNet, EPSNetConfig, EPSNetMergeSettings
from pansight.models.epsnet.anchors import make_anchors
from pansight.models.epsnet.fusion import CrossLayerAttention, NormalFusion
from pansight.models.preprocess import Preprocess
from pansight.zoo.methods import construct, parameter_count

Make = Callable[..., Any]

ABLATIONS: dict[str, dict[str, Any]] = {
    "three layers": {},
    "one layer": {"fusion_layers": 1},
    "normal fusion": {"fusion": "normal"},
    "no fusion": {"fusion": "none"},
    "EPSNet-D": {
        "fusion": "normal",
        "semantic_head": "direct",
        "box_weight": 1.0,
        "mask_weight": 1.0,
        "semantic_weight": 1.0,
    },
    "direct, fused": {"fusion": "normal", "semantic_head": "direct-fused"},
    "direct, attended": {"semantic_head": "direct-fused"},
    "no balance": {"box_weight": 1.0, "mask_weight": 1.0, "semantic_weight": 1.0},
    "exact suppression": {"nms": "exact"},
    "other stays": {"other_without_things": True},
    "square anchors": {"square_anchors": True},
}


@pytest.mark.parametrize("options", ABLATIONS.values(), ids=ABLATIONS.keys())
def test_every_option_builds_trains_and_merges(small_epsnet: Make, rectangles: Make, options: Any) -> None:
    model: EPSNet = small_epsnet(**options, object_threshold=0.0).train()
    target = rectangles(64, 96, (1, (0, 0, 96, 20)), (0, (10, 25, 60, 50)), (2, (62, 30, 90, 60)))
    images = torch.randn(2, 3, 64, 96)
    losses = model.losses(model(images), [target, target])
    assert set(losses) == {"box", "classes", "mask", "semantic"}
    assert all(value.isfinite() and value > 0 for value in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    silent = {name for name, p in model.named_parameters() if p.grad is None}
    assert silent == set()
    batch = model.eval().predict(images, Sizes((64, 96), [(64, 96)] * 2, [(64, 96)] * 2))
    assert batch.ids.shape == (2, 64, 96)


@pytest.mark.parametrize(
    "size", [(192, 256), (61, 90), (1, 1), (8, 500), (300, 9), (256, 256), (257, 130)], ids=str
)
def test_pictures_of_any_size(small_epsnet: Make, size: tuple[int, int]) -> None:
    model: EPSNet = small_epsnet(object_threshold=0.0, stuff_area=0, score_floor=0.0)
    images, sizes = model.preprocess.batch([np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)])
    with torch.no_grad():
        outputs = model(images)
    cells, side = 0, [-(-length // 8) for length in images.shape[2:]]
    for _ in range(5):
        cells += side[0] * side[1]
        side = [-(-length // 2) for length in side]
    assert outputs.class_logits.shape == (1, 3 * cells, 3)
    assert outputs.anchors.shape == (3 * cells, 4)
    assert all(part.isfinite().all() for part in outputs)
    batch = model.merge(outputs, sizes)
    assert batch.ids.shape == (1, *size)


def test_a_batch_is_what_its_pictures_are_alone(small_epsnet: Make) -> None:
    model: EPSNet = small_epsnet()
    images = torch.randn(3, 3, 64, 96)
    with torch.no_grad():
        together = model(images)
        for i in range(3):
            alone = model(images[i, None])
            for whole, single in zip(together[:-1], alone[:-1], strict=True):
                torch.testing.assert_close(whole[i, None], single, rtol=1e-4, atol=1e-5)


def test_attention_is_the_literal_one() -> None:
    """Per source: the map whole, the answer through the output convolution, P3 added and taken off again."""
    torch.manual_seed(0)
    attention = CrossLayerAttention(6, 4, 3)
    levels = tuple(torch.randn(2, 6, *size) for size in ((5, 7), (3, 4), (2, 2), (1, 1)))
    expected = levels[0]
    for source in levels[:3]:
        query = attention.query_conv(levels[0]).flatten(2)
        key, value = attention.key_conv(source).flatten(2), attention.value_conv(source).flatten(2)
        weights = torch.einsum("bci,bcj->bij", query, key).softmax(2)
        answer = torch.einsum("bij,bcj->bci", weights, value).unflatten(2, (5, 7))
        expected = expected + (attention.out_conv(answer) + levels[0]) - levels[0]
    torch.testing.assert_close(attention(levels), expected, rtol=1e-4, atol=1e-5)


def test_normal_fusion_brings_all_to_the_finest_size() -> None:
    fusion = NormalFusion(8, 4, 2)
    levels = tuple(torch.randn(1, 8, *size) for size in ((69, 50), (35, 25), (18, 13)))
    assert fusion(levels).shape == (1, 4, 69, 50)
    keys = {key.removesuffix(".weight") for key in fusion.state_dict() if key.endswith("weight")}
    blocks = {"0": ("0", "1"), "1": ("0", "1", "4", "5"), "2": ("0", "1", "4", "5", "8", "9")}
    assert keys == {f"layer_modules.{level}.{n}" for level, ns in blocks.items() for n in ns}


def test_normal_fusion_is_the_literal_one() -> None:
    """P3: a block; P4: block, doubling, block; P5: three blocks, two doublings; all at P3's size, added."""
    torch.manual_seed(0)
    fusion = NormalFusion(6, 4, 2)
    for parameter in fusion.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)
    weights = {key.removeprefix("layer_modules."): tensor for key, tensor in fusion.state_dict().items()}

    def block(x: Tensor, level: int, place: int) -> Tensor:
        convolution, norm = (f"{level}.{place + i}" for i in (0, 1))
        x = F.conv2d(x, weights[f"{convolution}.weight"], weights[f"{convolution}.bias"], padding=1)
        groups = x.unflatten(1, (2, 2))
        variance, mean = torch.var_mean(groups, (2, 3, 4), correction=0, keepdim=True)
        x = ((groups - mean) / (variance + 1e-5).sqrt()).flatten(1, 2)
        scale, shift = (weights[f"{norm}.{name}"][:, None, None] for name in ("weight", "bias"))
        return (x * scale + shift).clamp(min=0)

    def to(x: Tensor, *size: int) -> Tensor:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)

    p3, p4, p5, p6 = (torch.randn(2, 6, *size) for size in ((5, 7), (3, 4), (2, 2), (1, 1)))
    middle = block(to(block(p4, 1, 0), 6, 8), 1, 4)
    coarse = block(to(block(to(block(p5, 2, 0), 4, 4), 2, 4), 8, 8), 2, 8)
    expected = block(p3, 0, 0) + to(middle, 5, 7) + to(coarse, 5, 7)
    with torch.no_grad():
        torch.testing.assert_close(fusion((p3, p4, p5, p6)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fusion", ["attention", "normal"])
@pytest.mark.parametrize("head", ["direct", "direct-fused"])
def test_direct_logits_are_a_convolution_of_p3_and_nothing_more(
    small_epsnet: Make, fusion: str, head: str
) -> None:
    """At P3's size: nothing enlarges them before losses and maps do, once."""
    model: EPSNet = small_epsnet(fusion=fusion, semantic_head=head)
    images = torch.randn(2, 3, 72, 96)
    with torch.no_grad():
        features = model.backbone(images)
        levels = model.fpn((features.res3, features.res4, features.res5))
        source = levels[0]
        if head == "direct-fused":
            source = model.CALayer(levels) if fusion == "attention" else model.fusion_module(levels)
        weight, bias = model.semantic_seg_conv.parameters()
        expected = torch.einsum("bchw,sc->bshw", source, weight[:, :, 0, 0])
        expected = expected + bias[:, None, None]
        outputs = model(images)
    assert outputs.semantic_logits.shape == (2, 4, 9, 12)
    assert outputs.prototypes.shape[2:] == (18, 24)
    torch.testing.assert_close(outputs.semantic_logits, expected, rtol=1e-4, atol=1e-5)


def test_anchors_by_hand() -> None:
    """Sides are shares of the input's in both directions; centres are in the midst of cells."""
    levels = [(69, 69), (35, 35), (18, 18), (9, 9), (5, 5)]
    true = make_anchors(levels, EPSNetConfig(), torch.device("cpu"))
    square = make_anchors(levels, EPSNetConfig(square_anchors=True), torch.device("cpu"))
    assert true.shape == square.shape == (19248, 4)
    root = 2**0.5
    expected = [(24, 24), (24 / root, 24 * root), (24 * root, 24 / root)]
    torch.testing.assert_close(true[:3, 2:] * 550, torch.tensor(expected))
    torch.testing.assert_close(square[:3, 2:] * 550, torch.tensor([(w, w) for w, _ in expected]))
    torch.testing.assert_close(true[3 * 70, :2], torch.tensor([1.5 / 69, 1.5 / 69]))
    torch.testing.assert_close(true[-1], torch.tensor([0.9, 0.9, 384 * root / 550, 384 / root / 550]))


def test_anchors_depend_on_levels_and_their_own_options_alone() -> None:
    levels, cpu = [(13, 7), (7, 4), (4, 2), (2, 1), (1, 1)], torch.device("cpu")
    first = make_anchors(levels, EPSNetConfig(), cpu)
    other = EPSNetConfig(depth=50, merge=EPSNetMergeSettings(stuff_area=1))
    assert torch.equal(make_anchors(list(levels), other, cpu), first)
    others = [
        make_anchors([(7, 13), *levels[1:]], EPSNetConfig(), cpu),
        make_anchors(levels, EPSNetConfig(square_anchors=True), cpu),
        make_anchors(levels, EPSNetConfig(anchor_input=650), cpu),
        make_anchors(levels, EPSNetConfig(anchor_scales=(24, 48, 96, 192, 400)), cpu),
    ]
    assert not any(torch.equal(first, other) for other in others)
    assert make_anchors(levels, EPSNetConfig(), torch.device("meta")).is_meta


def test_inference_before_training_leaves_anchors_that_can_be_trained_with(
    small_epsnet: Make, rectangles: Make
) -> None:
    """Of a size that nothing else here has; a copy of the model comes to the same."""
    model: EPSNet = small_epsnet()
    images = torch.randn(1, 3, 40, 72)
    with torch.inference_mode():
        model(images)
    model = copy.deepcopy(model).train()
    outputs = model(images)
    assert not outputs.anchors.is_inference()
    losses = model.losses(outputs, [rectangles(40, 72, (0, (10, 5, 60, 30)))])
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({}, 51_313_759),
        ({"fusion_layers": 1}, 51_313_759),
        ({"fusion": "none"}, 51_182_047),
        # less the 1,033,728 that the released model has and never uses
        ({"fusion": "normal"}, 53_250_271 - 1_033_728),
        ({"fusion": "normal", "semantic_head": "direct-fused"}, 52_214_454 - 1_033_728),
    ],
)
def test_parameters_of_the_ablations(changes: dict[str, Any], parameters: int) -> None:
    """Norms are frozen: 105,344 of the released model's numbers are buffers here."""
    coco = Categories.builtin("coco")
    model = construct("epsnet", EPSNetConfig(**changes), coco, Preprocess(), blank=True)
    assert parameter_count(model) == parameters - 2 * 52_672


def test_optimized_agrees_and_the_original_stays(small_epsnet: Make) -> None:
    model: EPSNet = small_epsnet()
    images = torch.randn(2, 3, 64, 96)
    fast = model.optimized()
    with torch.no_grad():
        torch.testing.assert_close(fast(images), model(images), rtol=1e-3, atol=1e-4)
    assert fast.CALayer.key_conv.bias is None
    assert model.CALayer.key_conv.bias is not None
    assert not any(p.requires_grad for p in fast.parameters())
    with torch.no_grad():
        torch.testing.assert_close(fast.optimized()(images), fast(images))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(small_epsnet: Make, dtype: torch.dtype) -> None:
    model = small_epsnet(object_threshold=0.0, score_floor=0.0, stuff_area=0).optimized().to(dtype)
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        outputs = model(images.to(dtype))
        batch = model.merge(outputs, Sizes((64, 96), [(64, 96)], [(64, 96)]))
    assert outputs.class_logits.dtype == dtype
    assert all(part.isfinite().all() for part in outputs)
    assert (batch.categories >= 0).any()


def test_training_and_merging_under_autocast(small_epsnet: Make, rectangles: Make) -> None:
    model: EPSNet = small_epsnet(object_threshold=0.0).train()
    target = rectangles(64, 96, (1, (0, 0, 96, 20)), (0, (10, 25, 60, 50)))
    images = torch.randn(2, 3, 64, 96)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(images)
        losses = model.losses(outputs, [target, target])
    exact = model.losses(model(images), [target, target])
    for name, value in losses.items():
        assert value.dtype == torch.float32
        assert float(value.detach()) == pytest.approx(float(exact[name].detach()), rel=0.1)
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    # outputs of mixed precision, outside of autocast
    model.merge(outputs, Sizes((64, 96), [(64, 96)] * 2, [(64, 96)] * 2))


@pytest.mark.parametrize("is_thing", [True, False])
def test_things_alone_and_stuff_alone(small_epsnet: Make, is_thing: bool) -> None:
    alone = Categories([Category("one", is_thing, 1, (9, 9, 9))], name="alone")
    model: EPSNet = small_epsnet(categories=alone, object_threshold=0.0, score_floor=0.0, stuff_area=0)
    batch = model.predict(torch.randn(1, 3, 64, 64), Sizes((64, 64), [(64, 64)], [(64, 64)]))
    assert set(batch.categories[0].tolist()) <= {0, -1}


def test_everything_decays_at_one_rate(small_epsnet: Make) -> None:
    model = small_epsnet(backbone_norm="frozen")
    (group,) = model.parameter_groups(1e-3, 5e-4)
    assert (group["lr"], group["weight_decay"]) == (1e-3, 5e-4)
    assert len(group["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"negative_iou": 0.6}, "must not exceed"),
        ({"fusion_layers": 2}, "fusion_layers"),
        ({"fusion_layers": 1, "fusion": "normal"}, "fusion is normal"),
        ({"fusion_layers": 1, "fusion": "none"}, "fusion is none"),
        ({"semantic_head": "direct-fused", "fusion": "none"}, "use semantic_head direct"),
        ({"anchor_scales": (1, 2, 3)}, "anchor_scales"),
        ({"nms": "soft"}, "nms"),
        ({"prototype": 3}, "prototype"),
    ],
)
def test_nonsense_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        EPSNetConfig(**changes)


def test_one_picture_is_learned(small_epsnet: Make, rectangles: Make) -> None:
    """All terms together: everything that is asked for can be had at once."""
    torch.manual_seed(0)
    target = rectangles(64, 96, (1, (0, 0, 96, 32)), (3, (0, 32, 96, 64)), (0, (10, 10, 42, 42)))
    colors = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2]])
    image = torch.einsum("nhw,nc->chw", target.masks.float(), colors)[None]
    model: EPSNet = small_epsnet(pyramid_channels=32, backbone_norm="frozen")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    history = []
    for _ in range(40):
        losses = model.losses(model(image), [target])
        history.append({name: value.item() for name, value in losses.items()})
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    for name, first in history[0].items():
        assert history[-1][name] < 0.5 * first, (name, first, history[-1][name])


COMPILE = """
import torch
from pansight.categories import Categories, Category
from pansight.models.epsnet import EPSNet, EPSNetConfig
from pansight.models.preprocess import Preprocess
from pansight.merging.sizes import Sizes
torch.manual_seed(0)
config = EPSNetConfig(
    depth=18, width=8, pyramid_channels=16, norm_groups=4, prototypes=8, fusion_channels=8,
    object_threshold=0, score_floor=0, stuff_area=0, detections=9, candidates_per_class=20
)
categories = Categories([Category("a", True, 1, (0, 0, 0)), Category("b", False, 2, (0, 0, 9))], name="two")
model = EPSNet(config, categories, Preprocess()).eval().optimized()
images, sizes = torch.randn(1, 3, 32, 64), Sizes((32, 64), [(32, 64)], [(32, 64)])
whole = torch.compile(lambda x: model.merge(model(x), sizes, None, "fixed"), backend="eager", fullgraph=True)
with torch.no_grad():
    compiled, plain = whole(images), model.merge(model(images), sizes, None, "fixed")
assert (compiled.ids != plain.ids).float().mean() < 0.01
"""


@pytest.mark.slow
def test_network_and_merge_compile_whole() -> None:
    """In a process without checks of annotations, which compilers do not follow."""
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

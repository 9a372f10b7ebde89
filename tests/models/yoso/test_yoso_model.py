"""YOSO whole: sizes, merge, optimizer groups, the folded copy."""

from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from pansight.categories import Categories
from pansight.merging import Candidates, merge_by_argmax
from pansight.models.base import Target
from pansight.models.preprocess import Preprocess, Sizes
from pansight.models.yoso import YOSO, YOSOConfig, YOSOMergeSettings, YOSOOutputs

Make = Callable[..., YOSO]


@pytest.mark.parametrize(
    ("name", "changes", "parameters", "entries"),
    [
        ("coco", {}, 42_036_893, 395),
        ("ade20k", {}, 42_045_631, 395),
        ("cityscapes", {"class_layers": 3, "mask_layers": 3, "backbone_norm": "batch"}, 42_559_801, 472),
        ("mapillary", {"class_layers": 3, "mask_layers": 3, "proposals": 150}, 42_594_575, 419),
    ],
)
def test_sizes_are_the_released_ones(
    name: str, changes: dict[str, object], parameters: int, entries: int
) -> None:
    with torch.device("meta"):
        model = YOSO(YOSOConfig(**changes), Categories.builtin(name), Preprocess())  # type: ignore[arg-type]
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == entries


def test_optimizer_groups_are_the_released_ones() -> None:
    """COCO: 53 tensors at a tenth of the rate, 67 with decay, 44 norm tensors without."""
    with torch.device("meta"):
        model = YOSO(YOSOConfig(), Categories.builtin("coco"), Preprocess())
        live = YOSO(YOSOConfig(backbone_norm="batch"), Categories.builtin("coco"), Preprocess())

    def summary(model: YOSO) -> dict[tuple[float, float], int]:
        groups = model.parameter_groups(1e-4, 0.05)
        everything = [id(p) for group in groups for p in group["params"]]
        assert sorted(everything) == sorted(id(p) for p in model.parameters())
        return {(round(g["lr"], 9), g["weight_decay"]): len(g["params"]) for g in groups}

    assert summary(model) == {(1e-5, 0.05): 53, (1e-4, 0.05): 67, (1e-4, 0.0): 44}
    assert summary(live)[(1e-5, 0.0)] == 106
    by_name = dict(model.named_parameters())
    decays = {
        id(p): group["weight_decay"] for group in model.parameter_groups(1.0, 0.05) for p in group["params"]
    }
    assert decays[id(by_name["yoso_neck.deconv.bias"])] == 0.05
    assert decays[id(by_name["yoso_neck.loc_conv.bias"])] == 0.05
    assert decays[id(by_name["yoso_neck.deconv.deform_conv1.dcn_bn.weight"])] == 0
    assert decays[id(by_name["yoso_head.mask_heads.0.cls_fcs.1.bias"])] == 0


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
@pytest.mark.parametrize("aggregator", ["cfa", "ifa"])
def test_every_backbone_and_order_builds(small_yoso: Make, depth: int, aggregator: str) -> None:
    model = small_yoso(depth=depth, aggregator=aggregator, width=4, stages=1)
    with torch.no_grad():
        outputs = model(torch.randn(1, 3, 32, 64))
    assert outputs.class_logits.shape == (1, 7, 5)
    assert outputs.mask_logits.shape == (1, 7, 8, 16)


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_losses_of_any_number_of_stages(small_yoso: Make, stages: int) -> None:
    model = small_yoso(stages=stages).train()
    outputs = model(torch.randn(2, 3, 32, 64))
    crowd = torch.tensor([False, True, False])
    target = Target(torch.rand(3, 32, 64) > 0.5, torch.tensor([0, 2, 3]), crowd, (32, 64))
    losses = model.losses(outputs, [target, target])
    names = {"s0_loss_mask", "s0_loss_dice"}
    names |= {f"s{s}_loss_{kind}" for s in range(1, stages + 1) for kind in ("ce", "mask", "dice")}
    assert set(losses) == names
    torch.stack(list(losses.values())).sum().backward()
    silent = {name for name, p in model.named_parameters() if p.grad is None}
    assert silent == set()


def crafted(class_logits: Tensor, kernels: Tensor, features: Tensor) -> YOSOOutputs:
    return YOSOOutputs(class_logits, kernels, features, ())


def logits_of(*rows: list[float]) -> Tensor:
    """Class logits whose softmax gives these probabilities."""
    return torch.tensor([rows]).log()


HALVES = torch.zeros(1, 2, 8, 8)
HALVES[:, 0, :, :4] = 1
HALVES[:, 1, :, 4:] = 1


def test_object_threshold_is_strict_and_no_object_is_never_kept(small_yoso: Make) -> None:
    model = small_yoso()
    # sky with 1/2, dog with 5/8, no object with 3/4
    classes = logits_of(
        [1 / 2, 1 / 8, 1 / 8, 1 / 8, 1 / 8], [1 / 8, 1 / 16, 5 / 8, 1 / 8, 1 / 16], [1 / 16] * 4 + [3 / 4]
    )
    kernels = torch.tensor([[[9.0, -9.0], [-9.0, 9.0], [20.0, 20.0]]])
    sizes = Sizes((32, 32), [(32, 32)], [(32, 32)])
    found = {}
    for threshold in (0.49, float(classes.softmax(-1)[0, 0].max()), 0.6, 0.7):
        settings = YOSOMergeSettings(object_threshold=threshold, keep_share=0.0)
        batch = model.merge(crafted(classes, kernels, HALVES), sizes, settings)
        assert batch.categories.shape == (1, 3)
        found[threshold] = [int(c) for c in batch.categories[0] if c >= 0]
    assert list(found.values()) == [[0, 2], [2], [2], []]


def test_the_share_to_keep_is_the_callers(small_yoso: Make) -> None:
    model = small_yoso()
    classes = logits_of([0.8, 0.05, 0.05, 0.05, 0.05], [0.05, 0.05, 0.85, 0.03, 0.02])
    # the dog covers the left half of the sky
    kernels = torch.tensor([[[5.0, 5.0], [9.0, -9.0]]])
    sizes = Sizes((8, 8), [(8, 8)], [(8, 8)])
    found = {}
    for threshold in (0.0, 0.5, 0.6):
        settings = YOSOMergeSettings(object_threshold=0.5, keep_share=threshold)
        batch = model.merge(crafted(classes, kernels, HALVES), sizes, settings)
        found[threshold] = [int(c) for c in batch.categories[0] if c >= 0]
    assert found == {0.0: [0, 2], 0.5: [0, 2], 0.6: [2]}


def test_merge_computes_kept_masks_only_and_says_the_same_as_with_all(small_yoso: Make) -> None:
    model = small_yoso(proposals=20)
    torch.manual_seed(3)
    outputs = crafted(2 * torch.randn(2, 20, 5), torch.randn(2, 20, 16), torch.randn(2, 16, 8, 16))
    sizes = Sizes((32, 64), [(32, 64), (20, 50)], [(32, 64), (31, 33)])
    batch = model.merge(outputs, sizes, YOSOMergeSettings(object_threshold=0.5, keep_share=0.1))
    probabilities = outputs.class_logits.softmax(-1)
    scores, categories = probabilities.max(-1)
    kept = (scores > 0.5) & (categories < 4)
    assert 0 < int(kept.sum()) < 30
    candidates = Candidates(outputs.mask_logits, scores, categories, kept)
    everything = merge_by_argmax(candidates, sizes, model.is_thing, 0.1, 20, "pruned")
    for got, expected in zip(batch, everything, strict=True):
        torch.testing.assert_close(got, expected)
    assert (batch.categories >= 0).any(1).all()


def test_predict_is_network_and_merge(small_yoso: Make) -> None:
    model = small_yoso()
    images, sizes = torch.randn(1, 3, 64, 64), Sizes((64, 64), [(60, 50)], [(30, 25)])
    batch = model.predict(images, sizes)
    with torch.no_grad():
        expected = model.merge(model(images), sizes)
    assert batch.ids.shape == (1, 30, 25)
    assert torch.equal(batch.ids, expected.ids)


@pytest.mark.parametrize("aggregator", ["cfa", "ifa"])
@pytest.mark.parametrize("backbone_norm", ["frozen", "batch"])
def test_the_optimized_copy_gives_the_same_answers(
    small_yoso: Make, aggregator: str, backbone_norm: str
) -> None:
    model = small_yoso(aggregator=aggregator, backbone_norm=backbone_norm)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fast = model.optimized()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        outputs = model(images)
        hard = [stage.mask_logits > 0 for stage in outputs.earlier]
        quick = fast(images, hard)
    torch.testing.assert_close(quick.class_logits, outputs.class_logits, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(quick.mask_logits, outputs.mask_logits, rtol=1e-3, atol=1e-3)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fast.modules())
    assert not any(p.requires_grad for p in fast.parameters())
    # the original is whole
    assert all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_the_optimized_copy_of_a_copy_is_the_same(small_yoso: Make) -> None:
    fast = small_yoso().optimized()
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(fast.optimized()(images).class_logits, fast(images).class_logits)


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": 20},
        {"stages": 0},
        {"attention": "none"},
        {"temperature": 0.0},
        {"proposal": 3},
        {"heads": -1},
    ],
)
def test_nonsense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        YOSOConfig(**changes)  # type: ignore[arg-type]

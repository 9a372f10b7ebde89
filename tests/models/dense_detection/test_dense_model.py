"""The model as a whole: outputs, losses of every option, groups of parameters, weak supervision."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pansight.categories import Categories
from pansight.models.base import Target
from pansight.models.dense_detection import DenseDetection, DenseDetectionConfig
from pansight.models.dense_detection.targets import BoxTarget, Things
from pansight.models.preprocess import Preprocess

Make = Callable[..., Any]

TABLE_3: dict[str, dict[str, Any]] = {
    "one tower": {"towers": 1, "levelness": False, "mask_loss": False},
    "two towers": {"levelness": False, "mask_loss": False},
    "levelness": {"mask_loss": False},
    "mask loss": {},
    "weak": {"mask_loss": False, "supervision": "boxes"},
}


def pictures(rectangles: Make) -> list[Target]:
    """64 x 96, full and padded."""
    return [
        rectangles(64, 96, (1, (0, 0, 96, 20)), (0, (10, 5, 60, 50)), (2, (30, 30, 52, 60))),
        rectangles(64, 96, (3, (0, 30, 80, 60)), (2, (20, 20, 32, 33)), size=(60, 80)),
    ]


@pytest.mark.parametrize("size", [(64, 96), (72, 104), (61, 90)], ids=str)
def test_outputs_of_any_size(small_dense: Make, size: tuple[int, int]) -> None:
    outputs = small_dense()(torch.randn(2, 3, *size))
    h8, w8 = -(-size[0] // 8), -(-size[1] // 8)
    sides = [(-(-size[0] // s), -(-size[1] // s)) for s in (8, 16, 32, 64, 128)]
    for maps, channels in ((outputs.class_logits, 2), (outputs.centerness, 1), (outputs.offsets, 4)):
        assert [tuple(m.shape) for m in maps] == [(2, channels, *side) for side in sides]
    assert all((m > 0).all() for m in outputs.offsets)
    assert outputs.levelness.shape == (2, 6, 2 * h8, 2 * w8)
    assert outputs.semantic_logits.shape == (2, 4, h8, w8)


@pytest.mark.parametrize("row", TABLE_3)
def test_losses_of_every_row_of_the_ablation(small_dense: Make, rectangles: Make, row: str) -> None:
    options = TABLE_3[row]
    model = small_dense(score_threshold=0.0, **options).train()
    losses = model.losses(model(torch.randn(2, 3, 64, 96)), pictures(rectangles))
    expected = {"box", "centerness", "class", "semantic"}
    expected |= {"levelness"} if options.get("levelness", True) else set()
    expected |= {"mask"} if options.get("mask_loss", True) else set()
    assert set(losses) == expected
    assert all(value.isfinite() and value > 0 for value in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_weights_scale_their_terms(small_dense: Make, rectangles: Make) -> None:
    images = torch.randn(2, 3, 64, 96)
    terms = []
    for semantic, mask in ((1.0, 1.0), (0.4, 2.5)):
        model = small_dense(score_threshold=0.0, semantic_weight=semantic, mask_weight=mask)
        terms.append(model.losses(model(images), pictures(rectangles)))
    assert terms[1]["semantic"].item() == pytest.approx(0.4 * terms[0]["semantic"].item())
    assert terms[1]["mask"].item() == pytest.approx(2.5 * terms[0]["mask"].item())


def exchanged(rectangles: Make) -> tuple[Target, Target]:
    """Two cats side by side, and the same with pixels exchanged between them: equal boxes and semantics."""
    target = rectangles(64, 96, (1, (0, 0, 96, 20)), (2, (10, 20, 50, 60)), (2, (40, 24, 90, 64)))
    masks = target.masks.clone()
    both = torch.zeros_like(masks[1])
    both[26:58, 40:50] = True
    masks[1] |= both
    masks[2] &= ~both
    changed = target._replace(masks=masks)
    assert not torch.equal(masks[1], target.masks[1])
    return target, changed


@pytest.mark.parametrize("levelness", [True, False])
def test_weak_supervision_touches_no_instance_mask(
    small_dense: Make, rectangles: Make, levelness: bool
) -> None:
    """Masks with the same boxes and the same union of a category give the same losses, to the last bit."""
    target, changed = exchanged(rectangles)
    for supervision, same in (("boxes", True), ("masks", False)):
        model = small_dense(mask_loss=False, supervision=supervision, levelness=levelness)
        outputs = model(torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)))
        first, second = (model.losses(outputs, [one]) for one in (target, changed))
        assert (first["box"] == second["box"]) == same
        if same:
            assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_weak_supervision_is_given_holds_no_mask() -> None:
    assert BoxTarget._fields == ("things", "crowds", "size")
    assert Things._fields == ("boxes", "labels")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"supervision": "boxes"}, "mask_loss needs masks"),
        ({"levelness": False}, "mask_loss needs levelness"),
        ({"level_bounds": (16, 16, 64, 128)}, "must rise"),
        ({"class_prior": None}, "needs a class_prior"),
        ({"backbone_norm": "batch"}, "needs a backbone_eps"),
        ({"semantic_stride": 3}, "semantic_stride"),
        ({"towers": 3}, "towers"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DenseDetectionConfig(**changes)


def test_groups_of_parameters(small_dense: Make) -> None:
    """FCOS: biases twice the rate and no decay; frozen stages are no part of it."""
    model = small_dense(frozen_stages=2, backbone_norm="frozen")
    names = {id(p): name for name, p in model.named_parameters()}
    found = {}
    for group in model.parameter_groups(0.01, 1e-4):
        for parameter in group["params"]:
            found[names[id(parameter)]] = (group["lr"], group["weight_decay"])
    assert found["panoptic_head.bbox_pred.weight"] == (0.01, 1e-4)
    assert found["panoptic_head.bbox_pred.bias"] == (0.02, 0.0)
    assert found["panoptic_head.bbox_tower.1.weight"] == (0.01, 0.0)
    assert found["panoptic_head.scales.0.scale"] == (0.01, 0.0)
    frozen = {name for name in names.values() if name not in found}
    assert frozen and all(name.startswith(("backbone.body.stem", "backbone.body.res2")) for name in frozen)
    assert any(name.startswith("backbone.body.res3") for name in found)


def test_optimized_agrees_and_the_original_stays(small_dense: Make) -> None:
    model: DenseDetection = small_dense()
    images = torch.randn(1, 3, 72, 104)
    with torch.no_grad():
        before, after = model(images), model.optimized()(images)
    assert isinstance(after.levelness, Tensor)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    assert "panoptic_head.levelness.weight" in model.state_dict()
    assert any(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in model.optimized().parameters())


def test_the_optimized_copy_of_a_copy_is_the_same(small_dense: Make) -> None:
    fast = small_dense().optimized()
    images = torch.randn(1, 3, 72, 104)
    with torch.no_grad():
        torch.testing.assert_close(fast.optimized()(images), fast(images), rtol=0, atol=0)


def test_things_are_where_the_categories_say(small_dense: Make) -> None:
    model = small_dense()
    assert model.thing_indices.tolist() == [0, 2]
    assert model.thing_channels.tolist() == [0, -1, 1, -1]
    cityscapes = Categories.builtin("cityscapes")
    fields = {**model.config.model_dump(), "pyramid_channels": 8}
    whole = DenseDetection(DenseDetectionConfig(**fields), cityscapes, Preprocess())
    assert whole.thing_indices.tolist() == list(range(11, 19))


def test_one_picture_is_learned(small_dense: Make, rectangles: Make) -> None:
    """All terms together: everything that is asked for can be had at once."""
    torch.manual_seed(0)
    target = rectangles(64, 96, (1, (0, 0, 96, 40)), (3, (0, 40, 96, 64)), (0, (10, 10, 42, 42)))
    colors = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2]])
    image = torch.einsum("nhw,nc->chw", target.masks.float(), colors)[None]
    model = small_dense(box_channels=32, pyramid_channels=32, class_channels=32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    history = []
    for _ in range(40):
        losses = model.losses(model(image), [target])
        history.append({name: value.item() for name, value in losses.items()})
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    first, last = history[0], history[-1]
    for name in ("box", "class", "semantic", "levelness"):
        assert last[name] < 0.4 * first[name], (name, first[name], last[name])
    # nothing to look at before there is a query
    assert first["mask"] == 0 and max(row["mask"] for row in history) > 0

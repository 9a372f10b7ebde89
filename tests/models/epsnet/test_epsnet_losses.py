"""Matching and losses against loops that follow the text literally, and what the golden file leaves open."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pansight.models.epsnet import EPSNet, EPSNetConfig
from pansight.models.epsnet.anchors import corners
from pansight.models.epsnet.losses import epsnet_losses, hard_negatives
from pansight.models.epsnet.outputs import EPSNetOutputs
from pansight.models.epsnet.targets import EPSNetTruth, Matching, match, truth_of
from pansight.nn.boxes import boxes_of
from pansight.nn.nms import pairwise_iou

Make = Callable[..., Any]

CONFIG = EPSNetConfig()


def truth_with(boxes: Tensor, crowds: Tensor | None = None, size: int = 32) -> EPSNetTruth:
    """Rectangles as they are in the boxes, of channel 0, 1, 0, 1 ..."""
    lines = (torch.arange(size) + 0.5) / size
    masks = torch.stack(
        [
            ((lines > y1) & (lines < y2))[:, None] & ((lines > x1) & (lines < x2))
            for x1, y1, x2, y2 in boxes.tolist()
        ]
        or [torch.zeros(size, size, dtype=torch.bool)]
    )[: len(boxes)]
    crowds = torch.zeros(0, 4) if crowds is None else crowds
    labels = torch.arange(len(boxes)) % 2
    return EPSNetTruth(boxes, labels, masks, crowds, torch.full((size, size), 1))


def literal_match(truth: EPSNetTruth, anchors: Tensor) -> tuple[list[int], list[int]]:
    boxes = corners(anchors)
    overlaps = pairwise_iou(truth.boxes[None], boxes[None])[0].tolist()
    labels, objects = [], []
    best_anchor = [row.index(max(row)) for row in overlaps]
    for a in range(len(anchors)):
        objects.append(max(range(len(overlaps)), key=lambda g: overlaps[g][a]))
        iou = overlaps[objects[-1]][a]
        for g, best in enumerate(best_anchor):
            if best == a:
                objects[-1], iou = g, 2.0
        label = int(truth.labels[objects[-1]]) + 1
        label = label if iou >= 0.5 else -1 if iou >= 0.4 else 0
        for x1, y1, x2, y2 in truth.crowds.tolist():
            ax1, ay1, ax2, ay2 = boxes[a].tolist()
            shared = max(0, min(ax2, x2) - max(ax1, x1)) * max(0, min(ay2, y2) - max(ay1, y1))
            if label <= 0 and shared / ((ax2 - ax1) * (ay2 - ay1)) > 0.7:
                label = -1
        labels.append(label)
    return labels, objects


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), objects=st.integers(1, 6), crowds=st.integers(0, 2))
def test_matching_is_the_texts(seed: int, objects: int, crowds: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw(count: int) -> Tensor:
        low = torch.rand(count, 2, generator=generator) * 0.6
        return torch.cat((low, low + 0.1 + 0.3 * torch.rand(count, 2, generator=generator)), 1)

    anchors = torch.rand(40, 4, generator=generator) * 0.4 + 0.2
    truth = truth_with(draw(objects), draw(crowds))
    found = match(truth, anchors, CONFIG)
    assert (found.labels.tolist(), found.objects.tolist()) == literal_match(truth, anchors)
    # every object is found by somebody, unless another has its only anchor
    assert (found.labels > 0).any()


def test_objects_share_their_best_anchor() -> None:
    """The last one has it, at whatever IoU."""
    boxes = torch.tensor([[0.4, 0.4, 0.5, 0.5], [0.5, 0.5, 0.55, 0.55]])
    found = match(truth_with(boxes), torch.tensor([[0.5, 0.5, 0.8, 0.8]]), CONFIG)
    assert (found.labels.tolist(), found.objects.tolist()) == ([2], [1])


def test_truth_of_a_target(rectangles: Make) -> None:
    """Tight boxes in shares; a crowd has no row of its own and is 'other'; what is gone leaves nothing."""
    target = rectangles(
        32, 64, (1, (0, 0, 64, 16)), (0, (16, 8, 48, 24)), (2, (0, 24, 8, 32)), (0, (0, 0, 4, 4)), crowd=(2,)
    )
    target.masks[3] = False
    truth = truth_of(target, torch.tensor([0, -1, 1, -1]), torch.tensor([3, 1, 3, 2]))
    assert truth.boxes.tolist() == [[0.25, 0.25, 0.75, 0.75]]
    assert truth.crowds.tolist() == [[0.0, 0.75, 0.125, 1.0]]
    assert truth.labels.tolist() == [0]
    assert truth.semantics[0, 5] == 1 and truth.semantics[12, 20] == 3 and truth.semantics[30, 2] == 3
    assert truth.semantics[20, 60] == 0
    height, width = truth.masks.shape[1:]
    sides = torch.tensor([width, height, width, height])
    assert torch.equal(boxes_of(truth.masks) / sides, truth.boxes)


@given(st.integers(0, 10**6), st.integers(0, 12), st.integers(0, 12))
def test_hard_negatives_are_the_texts(seed: int, positives: int, neutrals: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(30, 4, generator=generator)
    labels = torch.zeros(30, dtype=torch.int64)
    labels[:positives], labels[positives : positives + neutrals] = 2, -1
    chosen = hard_negatives(logits, Matching(labels, labels), CONFIG)
    doubt = {a: float(logits[a].logsumexp(0) - logits[a, 0]) for a in range(30) if labels[a] == 0}
    wanted = sorted(doubt, key=lambda a: -doubt[a])[: min(3 * positives, 29)]
    assert set(chosen.nonzero()[:, 0].tolist()) == set(wanted)


def one_object(
    coefficient: float, mask: Tensor, box: Tensor, anchors: int = 1
) -> tuple[EPSNetOutputs, EPSNetTruth]:
    """One prototype of ones; so a mask is one number all over its box. Anchors fit the object."""
    size = box[2:] - box[:2]
    place = torch.cat((box[:2] + size / 2, size))
    outputs = EPSNetOutputs(
        torch.zeros(1, anchors, 4),
        torch.zeros(1, anchors, 3),
        torch.full((1, anchors, 1), coefficient).requires_grad_(),
        torch.ones(1, 1, 16, 16),
        torch.zeros(1, 4, 16, 16),
        place.expand(anchors, 4),
    )
    truth = EPSNetTruth(
        box[None], torch.tensor([0]), mask[None], torch.zeros(0, 4), torch.zeros_like(mask).long()
    )
    return outputs, truth


def test_pixels_beyond_the_box_cost_a_hundred() -> None:
    """What a crop has cut off cannot be had any more; torch bounds the logarithm at -100."""
    box = torch.tensor([0.25, 0.25, 0.5, 0.5])
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[8:16, 8:16] = True
    inner, truth = one_object(2.0, mask, box)
    # 4 x 4 of the object and a ring of one pixel around it, in units of the box's 16 pixels
    p = torch.tensor(2.0).sigmoid()
    expected = -(16 * p.log() + 20 * (1 - p).log()) / 16
    loss = epsnet_losses(inner, [truth], CONFIG).mask
    torch.testing.assert_close(loss, 6.125 * expected)
    mask = mask.clone()
    mask[24:26, 24:26] = True
    far = epsnet_losses(inner, [truth._replace(masks=mask[None])], CONFIG).mask
    torch.testing.assert_close(far - loss, torch.tensor(6.125 * 100 / 16))
    far.backward()
    assert inner.coefficients.grad is not None and inner.coefficients.grad.isfinite().all()


def test_more_anchors_than_are_trained_stand_for_all() -> None:
    """A random part of them, scaled up: with equal anchors just the same."""
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[8:16, 8:16] = True
    losses = []
    for limit in (7, 300):
        outputs, truth = one_object(0.3, mask, torch.tensor([0.25, 0.25, 0.5, 0.5]), anchors=250)
        config = CONFIG.model_copy(update={"masks_to_train": limit})
        losses.append(epsnet_losses(outputs, [truth], config).mask)
        losses[-1].backward()
        assert outputs.coefficients.grad is not None
        assert int((outputs.coefficients.grad != 0).sum()) == min(limit, 250)
    torch.testing.assert_close(losses[0], losses[1])


def test_saturated_masks_are_finite() -> None:
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[8:16, 8:16] = True
    outputs, truth = one_object(1.0, mask, torch.tensor([0.25, 0.25, 0.5, 0.5]))
    for strength in (1e4, -1e4):
        terms = epsnet_losses(
            outputs._replace(prototypes=torch.full((1, 1, 16, 16), strength)), [truth], CONFIG
        )
        terms.mask.backward(retain_graph=True)
        assert terms.mask.isfinite() and terms.mask > 0
        assert outputs.coefficients.grad is not None and outputs.coefficients.grad.isfinite().all()


def test_semantics_are_divided_by_all_pixels() -> None:
    mask = torch.zeros(32, 32, dtype=torch.bool)
    outputs, truth = one_object(1.0, mask, torch.tensor([0.25, 0.25, 0.5, 0.5]))
    semantics = torch.zeros(32, 32, dtype=torch.int64)
    semantics[:8] = 2
    logits = torch.randn(1, 4, 16, 16)
    found = epsnet_losses(
        outputs._replace(semantic_logits=logits), [truth._replace(semantics=semantics)], CONFIG
    )
    large = F.interpolate(logits, size=(32, 32), mode="bilinear", align_corners=False)
    expected = -large.log_softmax(1)[0, 2, :8].sum() / 1024
    torch.testing.assert_close(found.semantic, 2 * expected)


PICTURES = {
    "nothing": (),
    "stuff": ((1, (0, 0, 96, 20)), (3, (0, 30, 80, 60))),
    "crowds": ((1, (0, 0, 96, 20)), (0, (10, 25, 60, 50))),
    "things": ((0, (10, 5, 60, 50)), (2, (30, 30, 52, 60))),
}


@pytest.mark.parametrize("kinds", [("nothing",), ("stuff",), ("crowds",), ("crowds", "things")], ids=str)
def test_pictures_without_things(small_epsnet: Make, rectangles: Make, kinds: tuple[str, ...]) -> None:
    """Everything is finite, and every parameter has a gradient, be it 0."""
    model: EPSNet = small_epsnet().train()
    targets = [rectangles(64, 96, *PICTURES[kind], crowd=(1,) if kind == "crowds" else ()) for kind in kinds]
    losses = model.losses(model(torch.randn(max(2, len(targets)), 3, 64, 96)[: len(targets)]), targets)
    assert all(value.isfinite() for value in losses.values())
    assert (losses["semantic"] > 0) == (kinds != ("nothing",))
    found = "things" in kinds
    assert [bool(losses[name] > 0) for name in ("box", "classes", "mask")] == [found] * 3
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_batch_is_divided_by_its_positives_together(small_epsnet: Make, rectangles: Make) -> None:
    model: EPSNet = small_epsnet()
    targets = [rectangles(64, 96, *PICTURES["things"]), rectangles(64, 96, (2, (30, 30, 52, 60)))]
    with torch.no_grad():
        images = torch.randn(2, 3, 64, 96)
        together = model.losses(model(images), targets)
        apart = [model.losses(model(images[i, None]), [targets[i]]) for i in range(2)]
        anchors = model(images).anchors
    truths = [truth_of(t, model.thing_channels, model.stuff_channels) for t in targets]
    counts = [int((match(truth, anchors, model.config).labels > 0).sum()) for truth in truths]
    assert min(counts) > 0
    for name in ("box", "classes", "mask"):
        expected = sum(n * float(one[name]) for n, one in zip(counts, apart, strict=True)) / sum(counts)
        assert float(together[name]) == pytest.approx(expected, rel=1e-4)
    assert float(together["semantic"]) == pytest.approx(
        sum(float(o["semantic"]) for o in apart) / 2, rel=1e-4
    )


def test_without_balance_all_weights_are_one(small_epsnet: Make, rectangles: Make) -> None:
    images, target = torch.randn(1, 3, 64, 96), rectangles(64, 96, *PICTURES["things"])
    plain = dict.fromkeys(("class_weight", "box_weight", "mask_weight", "semantic_weight"), 1.0)
    models = small_epsnet(), small_epsnet(**plain)
    with torch.no_grad():
        balanced, bare = (model.losses(model(images), [target]) for model in models)
    ratios = {name: float(balanced[name] / bare[name]) for name in bare}
    assert ratios == pytest.approx({"box": 1.5, "classes": 1.0, "mask": 6.125, "semantic": 2.0}, rel=1e-5)

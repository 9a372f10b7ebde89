"""Detection against loops over classes and boxes that follow the text literally."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pansight.merging import Form
from pansight.models.epsnet import EPSNetConfig
from pansight.models.epsnet.anchors import corners, decode, encode
from pansight.models.epsnet.detection import Detections, detect
from pansight.models.epsnet.outputs import EPSNetOutputs
from pansight.nn.nms import pairwise_iou

Make = Callable[..., Any]

BOX = torch.tensor([0.1, 0.1, 0.5, 0.5])


def literal(outputs: EPSNetOutputs, config: EPSNetConfig, threshold: float) -> list[list[tuple[float, int]]]:
    """Score and class of each detection, best first, threshold last of all."""
    found = []
    for logits, offsets in zip(outputs.class_logits, outputs.boxes, strict=True):
        scores = logits.softmax(1)[:, 1:]
        anchors = [a for a in range(len(scores)) if scores[a].max() > config.score_floor]
        boxes = decode(offsets, outputs.anchors)
        overlaps = pairwise_iou(boxes[None], boxes[None])[0].tolist()
        rows: list[tuple[float, int]] = []
        for one in range(scores.shape[1]):
            ranked = sorted(anchors, key=lambda a: -float(scores[a, one]))[: config.candidates_per_class]
            kept: list[int] = []
            for rank, a in enumerate(ranked):
                rivals = kept if config.nms == "exact" else ranked[:rank]
                if all(overlaps[b][a] <= config.nms_threshold for b in rivals):
                    kept.append(a)
            rows += [(float(scores[a, one]), one) for a in kept]
        rows.sort(key=lambda row: (-row[0], row[1]))
        found.append([row for row in rows[: config.detections] if row[0] > threshold])
    return found


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    nms=st.sampled_from(["fast", "exact"]),
    threshold=st.sampled_from([0.0, 0.02, 0.2, 0.6, 1.0]),
    form=st.sampled_from(["pruned", "fixed"]),
    candidates=st.sampled_from([5, 200]),
)
def test_is_what_loops_find(
    random_outputs: Make, seed: int, nms: Any, threshold: float, form: Form, candidates: int
) -> None:
    outputs = random_outputs(seed)
    config = EPSNetConfig(nms=nms, detections=25, score_floor=0.3, candidates_per_class=candidates)
    found = detect(outputs, config, threshold, form)
    for picture, rows in enumerate(literal(outputs, config, threshold)):
        kept = found.kept[picture]
        assert kept.tolist() == sorted(kept.tolist(), reverse=True)
        assert found.classes[picture][kept].tolist() == [row[1] for row in rows]
        torch.testing.assert_close(
            found.scores[picture][kept], torch.tensor([row[0] for row in rows]), rtol=1e-6, atol=1e-7
        )


def chain(crafted: Make) -> EPSNetOutputs:
    """Three boxes of one class in a row: neighbours overlap by 2/3, those at the ends by less than half."""
    boxes = torch.stack([BOX + torch.tensor([s, 0, s, 0]) for s in (0.0, 0.08, 0.16)])
    scores = torch.tensor([[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1]])
    return crafted(boxes, scores, torch.zeros(3, 8, 8), torch.zeros(4, 8, 8))


@pytest.mark.parametrize(("nms", "left"), [("fast", 1), ("exact", 2)])
def test_fast_suppression_counts_the_suppressed(crafted: Make, nms: Any, left: int) -> None:
    outputs = chain(crafted)
    iou = pairwise_iou(*(corners(outputs.anchors)[None],) * 2)[0]
    assert iou[0, 1] > 0.5 and iou[1, 2] > 0.5 and iou[0, 2] < 0.5
    found = detect(outputs, EPSNetConfig(nms=nms), 0.3, "pruned")
    assert int(found.kept.sum()) == left


def test_there_is_no_second_test_of_confidence(crafted: Make) -> None:
    """An anchor whose best class passes is a candidate for all classes, however little they score."""
    scores = torch.tensor([[0.2, 0.7999, 0.0001]])
    outputs = crafted(BOX[None], scores, torch.zeros(1, 8, 8), torch.zeros(4, 8, 8))
    found = detect(outputs, EPSNetConfig(), 0.0, "pruned")
    assert found.classes[0][found.kept[0]].tolist() == [0, 1]
    assert detect(outputs, EPSNetConfig(), 0.01, "pruned").kept.sum() == 1


def test_floor_and_threshold_are_strict(crafted: Make) -> None:
    outputs = crafted(
        BOX[None], torch.tensor([[0.5, 0.5, 0.0]]).clamp(min=1e-9), torch.zeros(1, 8, 8), torch.zeros(4, 8, 8)
    )
    score = float(outputs.class_logits.softmax(2)[0, 0, 1])
    for config, threshold in ((EPSNetConfig(score_floor=score), 0.0), (EPSNetConfig(), score)):
        assert detect(outputs, config, threshold, "pruned").kept.sum() == 0
    assert detect(outputs, EPSNetConfig(score_floor=score - 1e-6), score - 1e-6, "pruned").kept.sum() == 1


@pytest.mark.parametrize("form", ["pruned", "fixed"])
def test_of_equal_scores_the_first_class_and_anchor_is_better(crafted: Make, form: Form) -> None:
    boxes = torch.stack([BOX, BOX + 0.45])
    outputs = crafted(boxes, torch.tensor([[0.2, 0.4, 0.4]] * 2), torch.zeros(2, 8, 8), torch.zeros(4, 8, 8))
    found = detect(outputs, EPSNetConfig(), 0.0, form)
    assert found.classes[0].tolist()[:4] == [0, 0, 1, 1]
    torch.testing.assert_close(found.boxes[0, :4], boxes.repeat(2, 1))


def test_as_many_as_are_wanted(random_outputs: Make) -> None:
    outputs = random_outputs(things=40, anchors=200)
    found = detect(outputs, EPSNetConfig(detections=200, score_floor=0.0), 0.0, "pruned")
    assert found.boxes.shape == (2, 200, 4)
    assert found.kept.all()
    assert (found.scores.diff(dim=1) <= 0).all()


def test_nothing_found_and_nothing_to_find(random_outputs: Make) -> None:
    for outputs in (random_outputs(), random_outputs(things=0)):
        found: Detections = detect(outputs, EPSNetConfig(), 1.0, "pruned")
        assert not found.kept.any()


@given(st.integers(0, 10**6))
def test_coding_is_undone_by_decoding(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    anchors = torch.rand(9, 4, generator=generator) + 0.01
    offsets = torch.randn(9, 4, generator=generator)
    boxes = decode(offsets, anchors)
    torch.testing.assert_close(encode(boxes, anchors), offsets, rtol=1e-3, atol=1e-3)
    # by hand: variances 0.1 and 0.2
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    torch.testing.assert_close(center, anchors[:, :2] + 0.1 * offsets[:, :2] * anchors[:, 2:])
    torch.testing.assert_close(boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] * (0.2 * offsets[:, 2:]).exp())

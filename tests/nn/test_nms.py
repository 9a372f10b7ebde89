"""Suppression against a loop over boxes, and intersection over union by hand."""

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pansight.nn import nms
from pansight.nn.nms import bounded_suppress, overlaps_more, pairwise_iou, suppress


def literal_nms(boxes: Tensor, valid: Tensor, threshold: float) -> list[bool]:
    """The greedy loop over boxes in rank order."""
    kept: list[bool] = []
    for i in range(len(boxes)):
        iou = pairwise_iou(boxes[None, i, None], boxes[None])[0, 0]
        kept.append(bool(valid[i]) and not any(kept[j] and iou[j] > threshold for j in range(i)))
    return kept


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Boxes with small whole corners, so that many coincide or have no area."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(0, 25)), 2)
    low = torch.randint(0, draw(st.sampled_from([2, 6, 30])), shape, generator=generator)
    size = torch.randint(0, draw(st.sampled_from([2, 9])), shape, generator=generator)
    return torch.cat((low, low + size), 2).float(), torch.rand(shape[:2], generator=generator) < 0.8


@settings(max_examples=150)
@given(
    batch=batches(), threshold=st.sampled_from([0.0, 0.25, 0.5, 0.6, 0.97]), rows=st.sampled_from([3, 1024])
)
def test_is_the_greedy_loop(batch: tuple[Tensor, Tensor], threshold: float, rows: int) -> None:
    boxes, valid = batch
    with mock.patch.object(nms, "ROWS", rows):
        overlaps = overlaps_more(boxes, threshold)
    kept = suppress(overlaps, valid)
    for picture in range(len(boxes)):
        assert kept[picture].tolist() == literal_nms(boxes[picture], valid[picture], threshold)


def test_iou_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [2, 0, 6, 4], [10, 10, 10, 10], [-4, 0, 0, 4]])[None]
    iou = pairwise_iou(boxes, boxes)[0]
    assert iou[0, :2].tolist() == pytest.approx([1, 1 / 3])
    assert iou[0, 3] == 0
    assert iou[0, 2] == 0
    assert iou[2, 2].isnan()


def test_just_the_threshold_does_not_suppress() -> None:
    """Rows 0..3 and 0..5: IoU 3/5, the float32 nearest to 0.6."""
    boxes = torch.tensor([[0.0, 0, 5, 5], [0, 0, 5, 3]])[None]
    assert not overlaps_more(boxes, 0.6).any()
    assert overlaps_more(boxes, 0.599)[0].tolist() == [[False, True], [False, False]]


def test_a_chain_as_long_as_the_list() -> None:
    """Each box suppresses the next: every second one stays, and each decision waits for the one before."""
    count = 37
    overlaps = torch.zeros(1, count, count, dtype=torch.bool)
    overlaps[0, torch.arange(count - 1), torch.arange(1, count)] = True
    everything = torch.ones(1, count, dtype=torch.bool)
    kept = suppress(overlaps, everything)
    assert kept[0].tolist() == [i % 2 == 0 for i in range(count)]
    # a number of rounds that the data have no part in is too few for that, and says so
    assert bounded_suppress(overlaps, everything)[1].tolist() == [True]
    short, unsettled = bounded_suppress(overlaps[:, :15, :15], everything[:, :15])
    assert torch.equal(short, kept[:, :15])
    assert unsettled.tolist() == [False]


class Suppression(torch.nn.Module):
    """As a network has it in a graph."""

    def forward(self, boxes: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        return bounded_suppress(overlaps_more(boxes, 0.3), valid)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked_shapes")
def test_in_an_exported_graph() -> None:
    generator = torch.Generator().manual_seed(5)
    low = 20 * torch.rand(2, 30, 2, generator=generator)
    boxes = torch.cat((low, low + 12), 2)
    valid = torch.rand(2, 30, generator=generator) < 0.9
    exported = torch.export.export(Suppression(), (boxes, valid)).module()
    expected = suppress(overlaps_more(boxes, 0.3), valid)
    assert 4 < int(expected.sum()) < 30
    found, unsettled = exported(boxes, valid)
    assert torch.equal(found, expected)
    assert not unsettled.any()

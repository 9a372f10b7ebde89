"""Boxes are tight and end one beyond."""

import torch

from pansight.nn.boxes import boxes_of


def test_boxes_end_one_beyond_and_empty_masks_have_none() -> None:
    masks = torch.zeros(3, 5, 7, dtype=torch.bool)
    masks[0, 1:3, 2:6] = True
    masks[2, 4, 6] = True
    assert boxes_of(masks).tolist() == [[2, 1, 6, 3], [0, 0, 0, 0], [6, 4, 7, 5]]
    assert boxes_of(masks[:0]).shape == (0, 4)

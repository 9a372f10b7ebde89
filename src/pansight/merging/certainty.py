"""Uncertain segments: calibrated scores, and void below a bound."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pansight.merging.room import by_table
from pansight.merging.settings import Form, MergeSettings
from pansight.panoptic import PanopticBatch

_EDGE = 1e-6
"""scores are kept this far from 0 and 1, where their logit has no end"""


def calibrated(
    scores: Float[Tensor, "b s"], slope: float | Tensor, offset: float | Tensor
) -> Float[Tensor, "b s"]:
    """sigmoid(slope * logit(score) + offset): Platt's scaling (1999), fitted on images not trained on.

    Slope and offset are numbers, or one for each score.

    Example:
        >>> calibrated(torch.tensor([[0.5, 0.9]]), 1.0, 0.0)
        tensor([[0.5000, 0.9000]])
    """
    return torch.sigmoid(slope * torch.logit(scores, eps=_EDGE) + offset)


def calibrate_and_void(batch: PanopticBatch, settings: MergeSettings, form: Form = "fixed") -> PanopticBatch:
    """The batch with calibrated scores, and without the segments whose score is below their bound.

    That is `void_below`, or their category's of `void_below_each`, whichever is greater.

    Their pixels become void. Scores that are not numbers stay so, and their segments too: others look for
    them. Ids are changed in place in the pruned form.
    """
    scores = batch.scores
    if settings.calibration_each:
        scores = calibrated(scores, *_own(settings.calibration_each, batch).unbind(-1))
    elif settings.calibration != (1.0, 0.0):
        scores = calibrated(scores, *settings.calibration)
    # in an exported graph it is an input, of which nothing is known yet
    below: object = settings.void_below
    if not isinstance(below, Tensor) and not below and not settings.void_below_each:
        return batch._replace(scores=scores)
    kept = ~(scores < settings.void_below) & (batch.categories >= 0)
    if settings.void_below_each:
        kept = kept & ~(scores < _own(settings.void_below_each, batch))
    # row 0 stands for void
    rows = torch.cat((torch.zeros_like(kept[:, :1]), kept), dim=1).to(torch.int32)
    table = rows * torch.arange(rows.shape[1], dtype=torch.int32, device=rows.device)
    return batch._replace(
        ids=by_table(table, batch.ids, form),
        categories=torch.where(kept, batch.categories, torch.full_like(batch.categories, -1)),
        scores=scores,
        areas=torch.where(kept, batch.areas, torch.zeros_like(batch.areas)),
    )


def _own(each: Sequence[Any], batch: PanopticBatch) -> Float[Tensor, "b s *k"]:
    """Of values of each category those of every segment's; empty rows have the first's."""
    values = batch.scores.new_tensor(each)
    return values[batch.categories.clamp(min=0, max=len(values) - 1).long()]

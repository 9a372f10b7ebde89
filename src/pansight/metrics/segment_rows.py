"""One row for each segment of an evaluation: matched with whom, missed, false or excused."""

import csv
import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from pansight.categories import Categories
from pansight.metrics.matched import MatchedImage


class SegmentRow(NamedTuple):
    """A matched pair, or a segment of the truth or the prediction that matched none.

    `outcome`: "matched", "missed" (false negative), "false" (false positive), or "excused" (a crowd of the
    truth, or a prediction most of which is void or crowd). Areas are pixels; None: a row has no such thing.
    """

    image: str
    category: str
    outcome: str
    truth_id: int | None
    prediction_id: int | None
    iou: float | None
    truth_area: int | None
    prediction_area: int | None
    score: float | None
    iscrowd: int


def segment_rows(image: MatchedImage, categories: Categories) -> list[SegmentRow]:
    """The rows of one image: the true segments in their order, then the predictions that match none."""
    partners: dict[int, tuple[int, float]] = {}
    matches = image.matches
    for row, other, iou in zip(
        matches.truth_rows.tolist(), matches.prediction_rows.tolist(), matches.ious.tolist(), strict=True
    ):
        partners[row] = (other, iou)
    scores = [None if np.isnan(score) else float(score) for score in image.scores.tolist()]
    rows = []
    for row, id in enumerate(image.truth.ids.tolist()):
        category = int(image.truth.categories[row])
        if category < 0:
            continue
        name, crowd = categories.names[category], int(image.truth.crowd[row])
        area = int(image.truth_areas[row])
        if row in partners:
            other, iou = partners[row]
            theirs = (int(image.prediction.ids[other]), iou, area, int(image.prediction_areas[other]))
            rows.append(SegmentRow(image.name, name, "matched", id, *theirs, scores[other], crowd))
            continue
        outcome = "missed" if matches.missed[row] else "excused"
        rows.append(SegmentRow(image.name, name, outcome, id, None, None, area, None, None, crowd))
    taken = {other for other, _ in partners.values()}
    for row, id in enumerate(image.prediction.ids.tolist()):
        if row in taken:
            continue
        name = categories.names[int(image.prediction.categories[row])]
        outcome = "false" if matches.false[row] else "excused"
        area = int(image.prediction_areas[row])
        rows.append(SegmentRow(image.name, name, outcome, None, id, None, None, area, scores[row], 0))
    return rows


def as_csv(rows: Iterable[SegmentRow]) -> str:
    """The rows as a table with a header; IoUs and scores unrounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SegmentRow._fields)
    writer.writerows(rows)
    return text.getvalue()

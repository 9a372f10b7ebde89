"""A row for each matched and unmatched segment."""

import csv
import io

import numpy as np

from pansight.categories import Categories
from pansight.metrics.evaluation import Evaluation
from pansight.metrics.segment_rows import as_csv
from pansight.panoptic import PanopticMap

CLASSES = Categories.from_json(
    [{"id": 1, "name": "car", "isthing": 1}, {"id": 2, "name": "sky, blue", "isthing": 0}], name="two"
)


def test_every_segment_has_a_row_and_the_counts_are_those_of_pq() -> None:
    truth = np.array([[1, 1, 1, 1], [2, 2, 2, 0], [3, 3, 4, 4]], np.int32)
    guess = np.array([[5, 5, 5, 0], [6, 6, 6, 9], [0, 0, 8, 8]], np.int32)
    true = PanopticMap.from_table(truth, [(1, 0), (2, 1), (3, 0), (4, 0, None, True)], CLASSES)
    predicted = PanopticMap.from_table(guess, [(5, 0, 0.75), (6, 1), (8, 0), (9, 0)], CLASSES)
    evaluation = Evaluation(CLASSES, segments=True)
    evaluation.update(predicted, true, "a.png")
    other = Evaluation(CLASSES, segments=True)
    other.update(predicted, true, "b.png")
    evaluation.merge(other)
    rows = list(csv.DictReader(io.StringIO(as_csv(evaluation.segments or []))))
    assert len(rows) == 12
    first = [tuple(row.values()) for row in rows if row["image"] == "a.png"]
    assert first == [
        ("a.png", "car", "matched", "1", "5", "0.75", "4", "3", "0.75", "0"),
        ("a.png", "sky, blue", "matched", "2", "6", "1.0", "3", "3", "", "0"),
        ("a.png", "car", "missed", "3", "", "", "2", "", "", "0"),
        ("a.png", "car", "excused", "4", "", "", "2", "", "", "1"),
        ("a.png", "car", "excused", "", "8", "", "", "2", "", "0"),
        ("a.png", "car", "excused", "", "9", "", "", "1", "", "0"),
    ]
    assert Evaluation(CLASSES).segments is None

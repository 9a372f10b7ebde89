"""The evaluator against the reference's rules, spelt out segment by segment with masks."""

import warnings
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.errors import DataProblemsError
from pansight.metrics import PanopticQuality

CATEGORY_IDS = (1, 3, 92, 184)
PIXELS = (3, 5)


def spelt_out(
    prediction: np.ndarray, predicted: list[Any], truth: np.ndarray, true: list[Any], exact: bool
) -> dict[int, list[float]] | None:
    """[tp, fp, fn, iou] by category id; None where no union is left, which nobody can score."""
    counts: dict[int, list[float]] = {}

    def add(category: int, kind: int, amount: float = 1) -> None:
        counts.setdefault(category, [0, 0, 0, 0.0])[kind] += amount

    truths = {segment["id"]: segment for segment in true}
    predictions = {segment["id"]: segment for segment in predicted}
    if exact:
        void = truth == 0
        area = {id: segment["area"] for id, segment in truths.items()}
    else:
        truths = {
            id: segment
            for id, segment in truths.items()
            if id != 0 and segment["category_id"] in CATEGORY_IDS and (truth == id).any()
        }
        predictions.pop(0, None)
        void = ~np.isin(truth, list(truths))
        area = {id: int((truth == id).sum()) for id in truths}
    crowds: dict[int, list[int]] = {}
    for id, segment in truths.items():
        if segment["iscrowd"] == 1:
            before = [] if exact else crowds.get(segment["category_id"], [])
            crowds[segment["category_id"]] = [*before, id]

    found, used = set(), set()
    for t, one in truths.items():
        for p, other in predictions.items():
            shared = int(((truth == t) & (prediction == p)).sum())
            if not shared or one["iscrowd"] == 1 or one["category_id"] != other["category_id"]:
                continue
            union = (prediction == p).sum() + area[t] - shared - (void & (prediction == p)).sum()
            if union == 0:
                return None
            if shared / union > 0.5:
                add(one["category_id"], 0)
                add(one["category_id"], 3, shared / union)
                found.add(t)
                used.add(p)
    for t, one in truths.items():
        if t not in found and one["iscrowd"] != 1:
            add(one["category_id"], 2)
    for p, other in predictions.items():
        mask = prediction == p
        excused = (void & mask).sum()
        excused += sum(((truth == t) & mask).sum() for t in crowds.get(other["category_id"], []))
        if p not in used and not excused / mask.sum() > 0.5:
            add(other["category_id"], 1)
    return counts


def odd_image(seed: int) -> tuple[np.ndarray, list[Any], np.ndarray, list[Any]]:
    """Small maps with every oddity that the reference scores: see the rules in test_panoptic_quality."""
    rng = np.random.default_rng(seed)
    prediction = rng.choice([0, 1, 2, 70000], PIXELS).astype(np.int32)
    truth = np.where(rng.random(PIXELS) < rng.random() ** 3, rng.choice([0, 1, 2, 70000], PIXELS), prediction)
    ids = rng.permutation(np.unique(prediction)).tolist()
    if rng.random() < 0.8:
        ids = [id for id in ids if id]
    # Two categories, so that segments meet their like.
    predicted = [
        {"id": id, "category_id": 1 if rng.random() < 0.7 else 3} for id in ids + ids[: rng.integers(0, 2)]
    ]
    true = []
    for id in rng.permutation([1, 2, 70000, 1, 2, 5, 0])[: rng.integers(0, 8)].tolist():
        right = int((truth == id).sum())
        area = [right, right, right + 3, max(0, right - 3), float(right)][rng.integers(5)]
        true.append(
            {
                "id": id,
                "category_id": rng.choice([1, 1, 3, 999]).item(),
                "iscrowd": [0, 0, 1, True, 2][rng.integers(5)],
                "area": area,
            }
        )
    return prediction, predicted, truth.astype(np.int32), true


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32 - 1), exact=st.booleans())
def test_counts_are_those_of_the_rules(categories: Categories, seed: int, exact: bool) -> None:
    image = odd_image(seed)
    quality = PanopticQuality(categories, exact=exact)
    expected = spelt_out(*image, exact)
    try:
        quality.update_coco(*image)
    except DataProblemsError as error:
        assert expected is None and "no union is left" in str(error)
        return
    assert expected is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = quality.compute()
    for one in result.classes:
        tp, fp, fn, iou = expected.get(one.category.dataset_id, [0, 0, 0, 0.0])
        assert (one.tp, one.fp, one.fn) == (tp, fp, fn), one.category.name
        assert abs(one.iou - iou) <= 1e-12

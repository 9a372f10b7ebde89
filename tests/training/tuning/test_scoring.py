"""What settings are worth, against the evaluator; thresholds by category against every one of them."""

import numpy as np
import pytest

from pansight.categories import Categories, Category
from pansight.metrics.panoptic_quality import PanopticQuality
from pansight.panoptic import PanopticMap
from pansight.training.tuning.scoring import gain, quality, score
from pansight.training.tuning.search import best_thresholds

CATEGORIES = Categories(
    [
        Category("a", True, 1, (1, 1, 1)),
        Category("b", True, 2, (2, 2, 2)),
        Category("c", False, 3, (3, 3, 3)),
    ],
    "abc",
)


def maps(seed: int, images: int = 40) -> tuple[list[PanopticMap], list[PanopticMap]]:
    """Truths, and predictions that are right, shifted or far off; those far off score less."""
    generator = np.random.default_rng(seed)
    truths, predictions = [], []
    for _ in range(images):
        truth, guess = (np.full((30, 30), 9, dtype=np.int32) for _ in range(2))
        table: list[tuple[int, int]] = [(9, 2)]
        guesses: list[tuple[int, int, float]] = [(9, 2, 1.0)]
        for id in range(1, 4):
            top, left = generator.integers(0, 20, 2)
            category = int(generator.integers(2))
            truth[top : top + 9, left : left + 9] = id
            table.append((id, category))
            kind = generator.integers(4)
            shift = int(generator.integers(0, 3)) if kind else int(generator.integers(6, 12))
            guess[top + shift : top + shift + 9, left : left + 9] = id
            score = float(np.clip(generator.normal(0.7 if kind else 0.35, 0.15), 0.01, 0.99))
            guesses.append((id, category, score))
        truths.append(
            PanopticMap.from_table(truth, [row for row in table if (truth == row[0]).any()], CATEGORIES)
        )
        predictions.append(
            PanopticMap.from_table(guess, [row for row in guesses if (guess == row[0]).any()], CATEGORIES)
        )
    return predictions, truths


def evaluated(predictions: list[PanopticMap], truths: list[PanopticMap]) -> float:
    measure = PanopticQuality(CATEGORIES)
    for prediction, truth in zip(predictions, truths, strict=True):
        measure.update(prediction, truth)
    result = measure.compute().all
    assert result is not None
    return result.pq


def voided(prediction: PanopticMap, category: int, bound: float) -> PanopticMap:
    gone = [one.id for one in prediction.segments if one.category == category and (one.score or 0) < bound]
    ids = np.where(np.isin(prediction.ids, gone), 0, prediction.ids)
    return PanopticMap.from_table(
        ids,
        [(one.id, one.category, one.score) for one in prediction.segments if one.id not in gone],
        CATEGORIES,
    )


@pytest.mark.parametrize("seed", range(3))
def test_quality_is_the_evaluator_s(seed: int) -> None:
    predictions, truths = maps(seed)
    scored = score(predictions, truths, CATEGORIES)
    assert quality(scored.tallies(), scored.truths) == pytest.approx(
        evaluated(predictions, truths), abs=1e-12
    )
    twice = np.zeros(len(truths))
    twice[:7] = 2
    expected = evaluated(predictions[:7] * 2, truths[:7] * 2)
    assert quality(scored.tallies(), scored.truths, twice) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_thresholds_are_the_best_that_there_are(seed: int) -> None:
    predictions, truths = maps(seed)
    scored = score(predictions, truths, CATEGORIES)
    everything = np.ones(len(truths), dtype=bool)
    found = best_thresholds(scored, everything)
    assert set(found) <= {0, 1} and found, "stuff, which has one score, is left alone"
    for category, bound in found.items():
        scores = sorted(
            {one.score or 0 for p in predictions for one in p.segments if one.category == category}
        )
        worth = {
            value: evaluated([voided(p, category, value) for p in predictions], truths)
            for value in (*scores[::6], bound)
        }
        assert max(worth, key=worth.__getitem__) == bound or max(worth.values()) - worth[bound] < 1e-12
        kept = (scored.categories != category) | ~(scored.scores < bound)
        assert quality(scored.tallies(kept), scored.truths) == pytest.approx(worth[bound], abs=1e-12)


def test_categories_with_few_segments_are_left_alone() -> None:
    predictions, truths = maps(0, images=5)
    scored = score(predictions, truths, CATEGORIES)
    assert best_thresholds(scored, np.ones(5, dtype=bool)) == {}


def test_the_gain_of_nothing_is_nothing_and_a_real_one_is_seen() -> None:
    predictions, truths = maps(1)
    scored = score(predictions, truths, CATEGORIES)
    same = gain(scored.tallies(), scored.tallies(), scored.truths, scored.truths)
    assert (same.difference, same.low, same.high) == (0, 0, 0)
    perfect = score(truths, truths, CATEGORIES)
    better = gain(scored.tallies(), perfect.tallies(), scored.truths, perfect.truths)
    assert better.after == 1.0 and 0 < better.low < better.difference < better.high

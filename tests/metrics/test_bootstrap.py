"""Bootstrap intervals: against scoring drawn samples anew, and what must hold for any input."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.metrics import PanopticQuality
from pansight.metrics.bootstrap import Bootstrap, Interval
from pansight.metrics.matched import match_maps
from pansight.metrics.remarks import Remarks
from pansight.panoptic import PanopticMap

pytestmark = pytest.mark.filterwarnings("ignore::pansight.metrics.EvaluationWarning")

MakePair = Callable[..., tuple[PanopticMap, PanopticMap]]
Pair = tuple[PanopticMap, PanopticMap]


def bootstrap_of(
    categories: Categories, *pairs: Pair, samples: int = 100, seed: int = 0, confidence: float = 0.95
) -> Bootstrap:
    bootstrap = Bootstrap(categories, samples, seed=seed, confidence=confidence)
    for prediction, truth in pairs:
        bootstrap.add(match_maps(prediction, truth, categories, "x", False, Remarks()))
    return bootstrap


def bounds(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


def test_counting_samples_anew_gives_the_same_intervals(categories: Categories, make_pair: MakePair) -> None:
    pairs = [make_pair(seed, 12, 16) for seed in range(12)]
    table = []
    for prediction, truth in pairs:
        quality = PanopticQuality(categories)
        quality.update(prediction, truth)
        table.append([(one.tp, one.fp, one.fn, one.iou) for one in quality.compute().classes])
    counts, rng, values = np.array(table), np.random.default_rng(7), []
    for _ in range(4000):
        tp, fp, fn, iou = counts[rng.integers(len(pairs), size=len(pairs))].sum(axis=0).T
        size = tp + (fp + fn) / 2
        present = size > 0
        pq, sq, rq = (
            np.divide(one, other, out=np.zeros(len(size)), where=other > 0)[present].mean()
            for one, other in ((iou, size), (iou, tp), (tp, size))
        )
        values.append((pq, sq, rq))
    got = bootstrap_of(categories, *pairs, samples=4000).compute().all
    assert got is not None
    for interval, drawn in zip((got.pq, got.sq, got.rq), np.array(values).T, strict=True):
        # One value in forty lies on either side, within the error of two times 4000 samples.
        assert interval.high - interval.low > 0.2
        assert np.mean(drawn < interval.low) == pytest.approx(0.025, abs=0.012)
        assert np.mean(drawn > interval.high) == pytest.approx(0.025, abs=0.012)


def test_equal_images_leave_no_doubt(categories: Categories, make_pair: MakePair) -> None:
    pair = make_pair(5)
    quality = PanopticQuality(categories)
    for _ in range(4):
        quality.update(*pair)
    whole, result = quality.compute(), bootstrap_of(categories, *[pair] * 4).compute()
    assert whole.all is not None and result.all is not None
    for measure in ("pq", "sq", "rq"):
        low, high = bounds(getattr(result.all, measure))
        assert low == pytest.approx(high, abs=1e-12)
        assert low == pytest.approx(getattr(whole.all, measure), abs=1e-12)
    assert result.samples == 100 and result.confidence == 0.95
    form = result.to_json()
    assert form["all"]["pq"] == [result.all.pq.low, result.all.pq.high]
    assert form["classes"].keys() == {"1", "3", "92", "184"}


def test_a_class_that_a_sample_lacks_says_nothing(categories: Categories) -> None:
    # One picture with a perfect person, seven with perfect trees: many samples have no person at all.
    ids = np.ones((2, 2), np.int32)
    person = PanopticMap.from_table(ids, [(1, 0)], categories)
    tree = PanopticMap.from_table(ids, [(1, 3)], categories)
    result = bootstrap_of(categories, (person, person), *[(tree, tree)] * 7).compute()
    assert result.things is not None and bounds(result.things.pq) == (1.0, 1.0)
    assert bounds(result.classes[0]) == (1.0, 1.0) and result.classes[1] is None
    nothing = bootstrap_of(categories).compute()
    assert nothing.all is None and nothing.classes == (None,) * 4
    assert nothing.to_json()["things"] is None


@settings(max_examples=25)
@given(
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6),
    cut=st.integers(0, 6),
    data=st.data(),
)
def test_order_and_merging_change_no_bit(
    categories: Categories, make_pair: MakePair, seeds: list[int], cut: int, data: st.DataObject
) -> None:
    pairs = [make_pair(seed, 12, 16) for seed in seeds]
    whole = bootstrap_of(categories, *pairs).compute()
    shuffled = data.draw(st.permutations(pairs))
    merged = bootstrap_of(categories, *shuffled[:cut])
    merged.merge(pickle.loads(pickle.dumps(bootstrap_of(categories, *shuffled[cut:]))))
    assert merged.compute() == whole
    assert merged.images == len(pairs)


def test_seed_and_confidence(categories: Categories, make_pair: MakePair) -> None:
    pairs = [make_pair(seed, 12, 16) for seed in range(8)]
    wide = bootstrap_of(categories, *pairs, confidence=0.99).compute()
    narrow = bootstrap_of(categories, *pairs, confidence=0.5).compute()
    other = bootstrap_of(categories, *pairs, confidence=0.5, seed=1).compute()
    assert wide.all and narrow.all and other.all
    assert wide.all.pq.low < narrow.all.pq.low < narrow.all.pq.high < wide.all.pq.high
    assert other.all.pq != narrow.all.pq
    with pytest.raises(InputError, match="bootstrap samples must be"):
        Bootstrap(categories, 0)
    with pytest.raises(InputError, match=r"1\.5 is not between"):
        Bootstrap(categories, confidence=1.5)

"""Where PQ was lost: each cause by hand, the definitions transcribed literally, and that shares add up."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.metrics import PanopticQuality
from pansight.metrics.counts import Counts
from pansight.metrics.losses import CAUSES, Losses, LossesResult, LossTable, find_causes
from pansight.metrics.matched import match_maps
from pansight.metrics.remarks import Remarks
from pansight.panoptic import PanopticMap, Segment

pytestmark = pytest.mark.filterwarnings("ignore::pansight.metrics.EvaluationWarning")

MakePair = Callable[..., tuple[PanopticMap, PanopticMap]]
Pair = tuple[PanopticMap, PanopticMap]
PERSON, CAR, BANNER, TREE = range(4)


def strip(categories: Categories, *runs: tuple[int, int | None] | tuple[int, int, int]) -> PanopticMap:
    """One row of segments: (pixels, category) or (pixels, category, id); None is void, -1 - c a crowd."""
    ids, table = [], {}
    for position, (count, category, *given_id) in enumerate(runs):
        id = 0 if category is None else (given_id or [position + 1])[0]
        ids += [id] * count
        if category is not None:
            table[id] = (id, category if category >= 0 else -1 - category, None, category < 0)
    return PanopticMap.from_table(np.array([ids], np.int32), list(table.values()), categories)


def losses_of(categories: Categories, *pairs: Pair) -> LossesResult:
    counts, table = Counts(len(categories)), LossTable(categories)
    for prediction, truth in pairs:
        image = match_maps(prediction, truth, categories, "x", False, Remarks())
        counts.add(image.found_classes, image.matches.ious, image.missed_classes, image.false_classes)
        table.add(image, find_causes(image))
    return table.compute(counts)


def lost(categories: Categories, truth: list[Any], prediction: list[Any]) -> list[dict[str, float] | None]:
    """Points by cause for each class, without those that are 0; None where the class does not count."""
    result = losses_of(categories, (strip(categories, *prediction), strip(categories, *truth)))
    forms = [None if one is None else one.to_json() for one in result.classes]
    return [
        form and {cause: round(points, 9) for cause, points in form.items() if abs(points) > 1e-9}
        for form in forms
    ]


def test_missed_and_false(categories: Categories) -> None:
    assert lost(categories, [(9, PERSON)], [(9, None)])[PERSON] == {"missed": 100}
    assert lost(categories, [(9, TREE)], [(5, TREE), (4, CAR)]) == [
        None,
        {"false": 100},
        None,
        {"ragged": round(400 / 9, 9)},
    ]


def test_wrong_class(categories: Categories) -> None:
    both = {"wrong_class": 100}
    assert lost(categories, [(9, PERSON)], [(9, CAR)])[:2] == [both, both]
    # 5 of 9 are enough, 5 of 10 are not.
    assert lost(categories, [(9, PERSON)], [(5, CAR), (4, None)])[:2] == [both, both]
    assert lost(categories, [(10, PERSON)], [(5, CAR), (5, None)])[:2] == [{"missed": 100}, {"false": 100}]


def test_merged(categories: Categories) -> None:
    # 10 and 6 become 16: the larger is matched at 10/16, the 6 pixels of the other are wrong in it.
    share = round(100 * (0.5 + 6 / 16) / 1.5, 9)
    assert lost(categories, [(10, PERSON), (6, PERSON)], [(16, PERSON)])[PERSON] == {"merged": share}
    # Nobody reaches one half.
    three = [(5, PERSON), (5, PERSON), (5, PERSON)]
    assert lost(categories, three, [(15, PERSON)])[PERSON] == {"merged": 100}
    # Persons of which one is a crowd: 6 pixels too many are a bad outline, nobody was merged.
    crowd = [(10, PERSON), (6, -1 - PERSON)]
    assert lost(categories, crowd, [(16, PERSON)])[PERSON] == {"ragged": 37.5}
    # What another class loses to the segment is not its merging.
    assert lost(categories, [(10, PERSON), (6, TREE)], [(16, PERSON)])[PERSON] == {"ragged": 37.5}


def test_split(categories: Categories) -> None:
    share = round(100 * (0.5 + 6 / 16) / 1.5, 9)
    assert lost(categories, [(16, PERSON)], [(10, PERSON), (6, PERSON)])[PERSON] == {"split": share}
    three = [(5, PERSON), (5, PERSON), (5, PERSON)]
    assert lost(categories, [(15, PERSON)], three)[PERSON] == {"split": 100}
    # The second piece has 4 of 7 judged pixels here; void says nothing about where it belongs.
    pieces = [(8, PERSON), (10, PERSON)]
    truth = [(12, PERSON), (3, TREE), (3, None)]
    assert lost(categories, truth, pieces)[PERSON] == {"split": round(100 * (0.5 + 4 / 12) / 1.5, 9)}


def test_ragged(categories: Categories) -> None:
    assert lost(categories, [(10, PERSON)], [(8, PERSON), (2, None)])[PERSON] == {"ragged": 20}
    # Unmatched, at an IoU of 6/20; at 2/20 it is no longer the same thing.
    assert lost(categories, [(20, PERSON)], [(6, PERSON), (14, None)])[PERSON] == {"ragged": 100}
    assert lost(categories, [(20, PERSON)], [(2, PERSON), (18, None)])[PERSON] == {"missed": 50, "false": 50}


def test_a_pair_that_lost_in_three_ways(categories: Categories) -> None:
    # Truth: 20 | 4 | tree 1 | void. The first is found by 15, which also takes the 4 and the tree; a
    # piece of 3 is another prediction, 2 are void. Union 20 + 20 - 15.
    truth = [(2, PERSON, 1), (3, PERSON, 1), (15, PERSON, 1), (4, PERSON, 2), (1, TREE, 3)]
    prediction = [(2, None), (3, PERSON, 8), (20, PERSON, 9)]
    got = lost(categories, truth, prediction)[PERSON]
    # tp 1, the 4 missed, the 3 false: 2 segments. Wrong pixels: 4 merged, 3 split, 3 ragged.
    assert got == {
        "merged": 100 * (0.5 + 4 / 25) / 2,
        "split": 100 * (0.5 + 3 / 25) / 2,
        "ragged": 100 * (3 / 25) / 2,
    }


def test_the_first_rule_wins(categories: Categories) -> None:
    # A car (12) predicted where two persons (9, 3) are one person less: it is the 9, in the wrong class.
    truth = [(9, PERSON), (3, PERSON)]
    assert lost(categories, truth, [(12, CAR)])[CAR] == {"wrong_class": 100}
    # A person piece of 4 within the car's 9 does not make that person split or ragged.
    truth = [(9, PERSON)]
    assert lost(categories, truth, [(5, CAR), (4, PERSON)])[PERSON] == {"wrong_class": 50, "ragged": 50}


def test_groups_are_means_of_classes(categories: Categories) -> None:
    # Person: all missed. Car: false. Tree: 4 of 10 lost.
    pair = (
        strip(categories, (9, None), (6, TREE), (4, CAR)),
        strip(categories, (9, PERSON), (10, TREE)),
    )
    result = losses_of(categories, pair)
    assert result.things is not None and result.all is not None and result.stuff is not None
    assert result.things.to_json() == pytest.approx(Losses(missed=50.0, false=50.0).to_json())
    assert result.stuff.to_json() == pytest.approx(Losses(ragged=40.0).to_json())
    assert result.all.to_json() == pytest.approx(Losses(100 / 3, 100 / 3, ragged=40 / 3).to_json())
    form = result.to_json()
    assert form["classes"]["92"] is None and form["classes"]["1"]["missed"] == 100
    assert form["all"].keys() == set(CAUSES)


def literal(prediction: PanopticMap, truth: PanopticMap) -> dict[int, list[float]]:
    """Points times segments by class and cause, from masks, one segment after another."""
    judged = truth.ids > 0
    trues = [one for one in truth.segments if not one.is_crowd]
    result = {category: [0.0] * 6 for category in range(len(truth.categories))}

    def shared(t: Segment, p: Segment) -> int:
        return int(np.sum(truth.mask(t.id) & prediction.mask(p.id)))

    def size(p: Segment) -> int:
        return int(np.sum(prediction.mask(p.id) & judged))

    def iou(t: Segment, p: Segment) -> float:
        return shared(t, p) / (t.area + size(p) - shared(t, p))

    def swallowed(p: Segment) -> list[Segment]:
        return [t for t in trues if t.category == p.category and shared(t, p) > t.area / 2]

    def fragments(t: Segment) -> list[Segment]:
        pieces = [p for p in prediction.segments if p.category == t.category]
        return [p for p in pieces if shared(t, p) > size(p) / 2]

    def excused(p: Segment) -> bool:
        crowds = [t for t in truth.segments if t.is_crowd and t.category == p.category]
        return (p.area - size(p) + sum(shared(t, p) for t in crowds)) / p.area > 0.5

    pairs = [(t, p) for t in trues for p in prediction.segments if t.category == p.category]
    matched = [(t, p) for t, p in pairs if iou(t, p) > 0.5]
    for t, p in matched:
        union = t.area + size(p) - shared(t, p)
        others = [one for one in swallowed(p) if one.id != t.id]
        pieces = [one for one in fragments(t) if one.id != p.id]
        merged = sum(shared(one, p) for one in others) / union
        split = sum(shared(t, one) for one in pieces) / union
        for cause, part in ((3, merged), (4, split), (5, 1 - iou(t, p) - merged - split)):
            result[t.category][cause] += part
    for t in trues:
        if t.id in {one.id for one, _ in matched}:
            continue
        if any(iou(t, p) > 0.5 for p in prediction.segments):
            cause = 2
        elif any(t in swallowed(p) and len(swallowed(p)) > 1 for p in prediction.segments):
            cause = 3
        elif len(fragments(t)) > 1:
            cause = 4
        else:
            cause = 5 if any(iou(t, p) > 0.1 for one, p in pairs if one is t) else 0
        result[t.category][cause] += 0.5
    for p in prediction.segments:
        if p.id in {one.id for _, one in matched} or excused(p):
            continue
        if any(iou(t, p) > 0.5 for t in trues):
            cause = 2
        elif len(swallowed(p)) > 1:
            cause = 3
        elif any(p in fragments(t) and len(fragments(t)) > 1 for t in trues):
            cause = 4
        else:
            cause = 5 if any(iou(t, p) > 0.1 for t, one in pairs if one is p) else 1
        result[p.category][cause] += 0.5
    return result


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32 - 1))
def test_literal_transcription(categories: Categories, make_pair: MakePair, seed: int) -> None:
    prediction, truth = make_pair(seed, 12, 16)
    expected = literal(prediction, truth)
    quality = PanopticQuality(categories)
    quality.update(prediction, truth)
    result = losses_of(categories, (prediction, truth))
    for index, one in enumerate(quality.compute().classes):
        losses = result.classes[index]
        assert (losses is not None) == one.counted
        if losses is not None:
            size = one.tp + one.fp / 2 + one.fn / 2
            shares = [points * size / 100 for points in losses.to_json().values()]
            assert shares == pytest.approx(expected[index], abs=1e-11)


@settings(max_examples=50)
@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4), cut=st.integers(0, 4))
def test_with_pq_they_add_up_to_100(
    categories: Categories, make_pair: MakePair, seeds: list[int], cut: int
) -> None:
    pairs = [make_pair(seed) for seed in seeds]
    quality = PanopticQuality(categories)
    for prediction, truth in pairs:
        quality.update(prediction, truth)
    panoptic, result = quality.compute(), losses_of(categories, *pairs)
    for one, losses in zip(panoptic.classes, result.classes, strict=True):
        if losses is not None:
            assert 100 * one.pq + losses.total == pytest.approx(100, abs=1e-10)
            assert all(points >= -1e-10 for points in losses.to_json().values())
    for group in ("all", "things", "stuff"):
        average, losses = getattr(panoptic, group), getattr(result, group)
        assert (average is None) == (losses is None)
        if losses is not None:
            assert 100 * average.pq + losses.total == pytest.approx(100, abs=1e-10)
    assert losses_of(categories, *reversed(pairs)) == result
    # Truth against itself loses nothing.
    plain = [
        PanopticMap.from_table(truth.ids, [(one.id, one.category) for one in truth.segments], categories)
        for _, truth in pairs
    ]
    itself = losses_of(categories, *((one, one) for one in plain)).all
    assert itself is None or itself.total == 0


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_merging(categories: Categories, make_pair: MakePair, cut: int) -> None:
    images = [match_maps(*make_pair(seed), categories, "x", False, Remarks()) for seed in range(3)]
    parts = [LossTable(categories), LossTable(categories)]
    counts = Counts(len(categories))
    for position, image in enumerate(images):
        parts[position >= cut].add(image, find_causes(image))
        counts.add(image.found_classes, image.matches.ious, image.missed_classes, image.false_classes)
    parts[0].merge(parts[1])
    assert parts[0].compute(counts) == losses_of(categories, *(make_pair(seed) for seed in range(3)))

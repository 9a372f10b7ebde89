"""Hand-computed cases for each rule of the evaluator, and what must hold for any input."""

import warnings
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.categories import Categories
from pansight.errors import CategoryError, DataProblemsError, InputError
from pansight.metrics import EvaluationWarning, PanopticQuality, PanopticQualityResult
from pansight.panoptic import PanopticMap, Segment

PERSON, CAR, BANNER, TREE = 1, 3, 92, 184


def row(*runs: tuple[int, int]) -> np.ndarray:
    """One row of pixels: (id, how many) after each other."""
    return np.concatenate([np.full(count, id, dtype=np.int32) for id, count in runs])[None]


def segment(id: int, category_id: int, area: int = 0, iscrowd: int = 0) -> dict[str, int]:
    return {"id": id, "category_id": category_id, "area": area, "iscrowd": iscrowd}


def score(
    categories: Categories,
    truth: tuple[np.ndarray, list[Any]],
    prediction: tuple[np.ndarray, list[Any]],
    exact: bool,
) -> PanopticQualityResult:
    quality = PanopticQuality(categories, exact=exact)
    quality.update_coco(prediction[0], prediction[1], truth[0], truth[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        return quality.compute()


def counts(result: PanopticQualityResult, category_id: int) -> tuple[int, int, int, float]:
    one = next(one for one in result.classes if one.category.dataset_id == category_id)
    return one.tp, one.fp, one.fn, one.iou


both = pytest.mark.parametrize("exact", [True, False])


@both
def test_a_plain_image(categories: Categories, exact: bool) -> None:
    # Person: 8 of 10 pixels found, 2 too many: 8 / 12. Car: missed, and its pixels given to a second person.
    truth = row((0, 4), (5, 10), (6, 6), (7, 10))
    prediction = row((0, 2), (9, 12), (8, 6), (3, 10))
    result = score(
        categories,
        (truth, [segment(5, PERSON, 10), segment(6, CAR, 6), segment(7, TREE, 10)]),
        (prediction, [segment(9, PERSON), segment(8, PERSON), segment(3, TREE)]),
        exact,
    )
    # 2 of the 12 predicted pixels lie in void and leave the union: 10 + 10 - 10.
    assert counts(result, PERSON) == (1, 1, 0, 1.0)
    assert counts(result, CAR) == (0, 0, 1, 0.0)
    assert counts(result, TREE) == (1, 0, 0, 1.0)
    assert counts(result, BANNER) == (0, 0, 0, 0.0)
    assert result.things is not None and result.stuff is not None and result.all is not None
    assert astuple(result.stuff) == (1.0, 1.0, 1.0, 1)
    assert result.things.n == 2 and result.all.n == 3
    assert result.things.pq == pytest.approx((1 / 1.5 + 0) / 2, abs=1e-15)
    assert result.all.pq == pytest.approx((1 / 1.5 + 0 + 1) / 3, abs=1e-15)
    assert result.all.rq == pytest.approx((1 / 1.5 + 0 + 1) / 3, abs=1e-15)
    assert result.all.sq == pytest.approx((1 + 0 + 1) / 3, abs=1e-15)
    assert result.images == 1 and result.warnings == ()


@both
@pytest.mark.parametrize(("shared", "matched"), [(10, False), (11, True)])
def test_rule_1_iou_strictly_above_one_half(
    categories: Categories, exact: bool, shared: int, matched: bool
) -> None:
    # Truth 15 pixels, prediction 15: shared / (30 - shared) is 1/2 at 10.
    truth = row((1, 15), (2, 15))
    prediction = row((3, 15 - shared), (4, 15), (3, shared))
    result = score(
        categories,
        (truth, [segment(1, PERSON, 15), segment(2, TREE, 15)]),
        (prediction, [segment(4, PERSON), segment(3, TREE)]),
        exact,
    )
    assert (counts(result, PERSON)[0] == 1) is matched


def test_rule_1_the_listed_area_enters_the_union_in_exact_mode_only(categories: Categories) -> None:
    truth = row((1, 10), (0, 10))
    prediction = row((2, 10), (0, 10))
    for area, iou in ((20, None), (16, 10 / 16), (5, 2.0)):
        wrong = (truth, [segment(1, PERSON, area)])
        listed = score(categories, wrong, (prediction, [segment(2, PERSON)]), exact=True)
        # At 20 the union is 10 + 20 - 10 = 20: an IoU of one half is no match.
        assert counts(listed, PERSON) == ((1, 0, 0, iou) if iou else (0, 1, 1, 0.0))
        measured = score(categories, wrong, (prediction, [segment(2, PERSON)]), exact=False)
        assert counts(measured, PERSON) == (1, 0, 0, 1.0)
        for result in (listed, measured):
            assert (
                result.warnings[0]
                == f"wrong area: truth: segment 1 has area {area} in the JSON, 10 in the PNG"
            )


@both
@pytest.mark.parametrize(("void", "excused"), [(5, False), (6, True)])
def test_rule_2_mostly_void_is_excused(categories: Categories, exact: bool, void: int, excused: bool) -> None:
    truth = row((0, void), (1, 20))
    prediction = row((2, 10), (3, 10 + void))
    result = score(
        categories,
        (truth, [segment(1, TREE, 20)]),
        (prediction, [segment(2, PERSON), segment(3, TREE)]),
        exact,
    )
    assert counts(result, PERSON) == (0, 0 if excused else 1, 0, 0.0)


@both
def test_rule_2_a_crowd_excuses_its_own_class_and_is_never_missed(
    categories: Categories, exact: bool
) -> None:
    truth = row((1, 10), (2, 10))
    listed = [segment(1, PERSON, 10, iscrowd=1), segment(2, TREE, 10)]
    prediction = row((3, 10), (4, 10))
    inside = score(categories, (truth, listed), (prediction, [segment(3, PERSON), segment(4, TREE)]), exact)
    assert counts(inside, PERSON) == (0, 0, 0, 0.0)
    other = score(categories, (truth, listed), (prediction, [segment(3, CAR), segment(4, TREE)]), exact)
    assert counts(other, CAR) == (0, 1, 0, 0.0)
    assert counts(other, PERSON) == (0, 0, 0, 0.0)


def test_rule_2_only_the_last_listed_crowd_counts_in_exact_mode(categories: Categories) -> None:
    truth = row((8, 10), (9, 10))
    prediction = (row((3, 10), (4, 10)), [segment(3, PERSON), segment(4, PERSON)])
    crowds = [segment(8, PERSON, 10, 1), segment(9, PERSON, 10, 1)]
    exact = score(categories, (truth, crowds), prediction, exact=True)
    assert counts(exact, PERSON) == (0, 1, 0, 0.0)
    # The last one listed may even have no pixels.
    ghost = score(categories, (truth, [*crowds, segment(7, PERSON, 5, 1)]), prediction, exact=True)
    assert counts(ghost, PERSON) == (0, 2, 0, 0.0)
    sane = score(categories, (truth, crowds), prediction, exact=False)
    assert counts(sane, PERSON) == (0, 0, 0, 0.0)
    assert exact.warnings[0].startswith("repeated crowd: truth: 2 crowd regions of person")


def test_rule_3_true_ids_that_are_not_listed(categories: Categories) -> None:
    truth = row((1, 10), (77, 6))
    listed = [segment(1, PERSON, 10)]
    prediction = (row((2, 10), (3, 6)), [segment(2, PERSON), segment(3, CAR)])
    exact = score(categories, (truth, listed), prediction, exact=True)
    assert counts(exact, CAR) == (0, 1, 0, 0.0)
    sane = score(categories, (truth, listed), prediction, exact=False)
    assert counts(sane, CAR) == (0, 0, 0, 0.0)
    assert "unlisted id: truth: id 77 is in the PNG but not in segments_info" in exact.warnings


def test_rule_3_listed_true_segments_without_pixels(categories: Categories) -> None:
    truth = (row((1, 10)), [segment(1, PERSON, 10), segment(5, PERSON, 3)])
    prediction = (row((2, 10)), [segment(2, PERSON)])
    assert counts(score(categories, truth, prediction, exact=True), PERSON) == (1, 0, 1, 1.0)
    sane = score(categories, truth, prediction, exact=False)
    assert counts(sane, PERSON) == (1, 0, 0, 1.0)
    assert "no pixels: truth: id 5 is in segments_info but not in the PNG" in sane.warnings


@both
def test_rule_4_stuff_is_not_merged_and_predicted_extras_are_ignored(
    categories: Categories, exact: bool
) -> None:
    truth = (row((1, 10), (2, 4)), [segment(1, TREE, 10), segment(2, TREE, 4)])
    extras = {"area": -3, "iscrowd": 1, "bbox": [], "score": "high"}
    prediction = (row((5, 14)), [{**segment(5, TREE), **extras}])
    # 10 / 14 matches the one; the other is missed.
    assert counts(score(categories, truth, prediction, exact), TREE) == (1, 0, 1, 10 / 14)


@both
def test_rule_5_unknown_true_categories_count_nowhere(categories: Categories, exact: bool) -> None:
    truth = (row((1, 10), (2, 6)), [segment(1, PERSON, 10), segment(2, 777, 6)])
    prediction = (row((3, 10), (4, 6)), [segment(3, PERSON), segment(4, CAR)])
    result = score(categories, truth, prediction, exact)
    # The reference holds what lies there against the prediction; it cannot be judged.
    assert counts(result, CAR) == (0, 1 if exact else 0, 0, 0.0)
    assert sum(one.fn for one in result.classes) == 0
    assert result.warnings[0].startswith("unknown category: truth: segment 2 has category_id 777")


@both
def test_rule_5_a_group_without_any_segment_has_no_value(categories: Categories, exact: bool) -> None:
    truth = (row((1, 4)), [segment(1, TREE, 4)])
    quality = PanopticQuality(categories, exact=exact)
    assert quality.compute().all is None
    quality.update_coco(truth[0], truth[1], truth[0], truth[1])
    with pytest.warns(EvaluationWarning, match="no category of the 2 things"):
        result = quality.compute()
    assert result.things is None and result.all is not None and result.all.n == 1
    assert result.to_json()["things"] is None


def test_rule_6_id_0_listed_is_a_segment_in_exact_mode(categories: Categories) -> None:
    truth = (row((1, 10), (2, 10)), [segment(1, PERSON, 10), segment(2, TREE, 10)])
    prediction = (row((0, 10), (3, 10)), [segment(0, PERSON), segment(3, TREE)])
    assert counts(score(categories, truth, prediction, exact=True), PERSON) == (1, 0, 0, 1.0)
    sane = score(categories, truth, prediction, exact=False)
    assert counts(sane, PERSON) == (0, 0, 1, 0.0)
    assert "id 0 listed: prediction: id 0 is void, yet segments_info lists it" in sane.warnings


@both
def test_rule_6_of_repeated_ids_the_last_entry_counts(categories: Categories, exact: bool) -> None:
    truth = (row((1, 10)), [segment(1, CAR, 3), segment(1, PERSON, 10)])
    prediction = (row((2, 10)), [segment(2, TREE), segment(2, PERSON)])
    result = score(categories, truth, prediction, exact)
    assert counts(result, PERSON) == (1, 0, 0, 1.0)
    assert sum(one.tp + one.fp + one.fn for one in result.classes) == 1
    assert len([line for line in result.warnings if line.startswith("repeated id")]) == 2


@both
def test_rule_7_all_problems_of_an_image_at_once(categories: Categories, exact: bool) -> None:
    truth = [segment(1, PERSON, 4), {"id": 2, "category_id": PERSON}, "text"]
    prediction = [segment(3, 9999), {"id": 5}, segment(6, CAR), {"id": "7", "category_id": CAR}]
    quality = PanopticQuality(categories, exact=exact)
    with pytest.raises(DataProblemsError) as caught:
        quality.update_coco(row((3, 4), (4, 2)), prediction, row((1, 4), (2, 2)), truth, "p.png", "t.png")
    assert caught.value.problems == [
        "t.png: segment 2 lacks iscrowd",
        "t.png: entry 2 of segments_info is not an object",
        "p.png: segment 5 lacks category_id",
        "p.png: segment '7' has an id that is not a whole number",
        "p.png: segment 3 has category_id 9999, which custom does not have",
        "p.png: id 4 is in the PNG but not in segments_info",
        "p.png: id 6 is in segments_info but not in the PNG",
    ]
    assert str(caught.value).splitlines()[1:] == [f"  {problem}" for problem in caught.value.problems]
    assert quality.images == 0 and not quality.counted and quality.compute().warnings == ()


@both
def test_rule_7_sizes_that_differ(categories: Categories, exact: bool) -> None:
    quality = PanopticQuality(categories, exact=exact)
    with pytest.raises(DataProblemsError) as caught:
        quality.update_coco(
            row((2, 3), (9, 1)), [segment(2, CAR)], row((1, 5)), [segment(1, CAR, 5)], "p", "t"
        )
    assert caught.value.problems == [
        "p: the prediction is 4 x 1 pixels, the truth 5 x 1; predict at the size of the truth",
        "p: id 9 is in the PNG but not in segments_info",
    ]


def test_a_listed_area_is_wanted_only_where_exact_mode_needs_it(categories: Categories) -> None:
    no_area = [{"id": 1, "category_id": PERSON, "iscrowd": 0}]
    prediction = (row((2, 4)), [segment(2, CAR)])
    assert counts(score(categories, (row((1, 4)), no_area), prediction, exact=True), PERSON) == (0, 0, 1, 0.0)
    same = (row((2, 4)), [segment(2, PERSON)])
    assert counts(score(categories, (row((1, 4)), no_area), same, exact=False), PERSON) == (1, 0, 0, 1.0)
    with pytest.raises(DataProblemsError, match="truth: segment 1 lacks area"):
        score(categories, (row((1, 4)), no_area), same, exact=True)
    with pytest.raises(DataProblemsError, match="segment 1 has area 0: no union is left"):
        score(categories, (row((1, 4)), [segment(1, PERSON, 0)]), same, exact=True)


@both
def test_the_area_that_a_map_says_is_not_believed(categories: Categories, exact: bool) -> None:
    ids = row((1, 4))
    wrong = PanopticMap(ids, (Segment(1, 0, area=1, box=(0, 0, 4, 1)),), categories)
    quality = PanopticQuality(categories, exact=exact)
    quality.update(wrong, wrong)
    with pytest.warns(EvaluationWarning, match="stuff"):
        assert quality.compute().classes[0].iou == 1.0


def test_maps_of_other_categories_or_sizes_are_refused(categories: Categories) -> None:
    ids = row((1, 4))
    panoptic = PanopticMap.from_table(ids, [(1, 0)], categories)
    swapped = Categories(list(categories)[::-1], name="swapped")
    with pytest.raises(CategoryError, match=r"frame 7: the prediction has the categories of swapped"):
        PanopticQuality(categories).update(
            PanopticMap.from_table(ids, [(1, 0)], swapped), panoptic, "frame 7"
        )
    larger = PanopticMap.from_table(row((1, 5)), [(1, 0)], categories)
    with pytest.raises(InputError, match=r"frame 8: the prediction is 5 x 1"):
        PanopticQuality(categories).update(larger, panoptic, "frame 8")
    for other in (PanopticQuality(swapped), PanopticQuality(categories, exact=True)):
        with pytest.raises(CategoryError, match="cannot be merged"):
            PanopticQuality(categories).merge(other)


def test_json_form(categories: Categories) -> None:
    truth = (row((1, 4)), [segment(1, TREE, 4)])
    form = score(categories, truth, truth, exact=True).to_json()
    assert form["all"] == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "n": 1}
    assert set(form["classes"]) == {"1", "3", "92", "184"}
    assert form["classes"]["184"]["pq"] == 1.0 and form["classes"]["1"]["pq"] == 0.0


Annotated = tuple[np.ndarray, list[tuple[int, int, None, bool]]]


def random_map(seed: int) -> Annotated:
    """A map of up to five segments, with categories and crowd flags."""
    rng = np.random.default_rng(seed)
    palette = rng.choice(2**24 - 1, rng.integers(1, 6), replace=False) + 1
    ids = np.kron(rng.choice([0, *palette], (3, 4)), np.ones((2, 2))).astype(np.int32)
    ids[rng.random(ids.shape) < 0.2] = rng.choice([0, *palette])
    return ids, [(int(id), int(rng.integers(4)), None, bool(rng.random() < 0.3)) for id in palette]


maps = st.integers(0, 2**32 - 1).map(random_map)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Annotated, Annotated]:
    """Truth and a prediction that shares much of it, with categories exchanged at times."""
    (ids, table), (other, more) = draw(maps), draw(maps)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spoilt = np.where(rng.random(ids.shape) < 0.2, other, ids)
    rows = {id: (id, category, None, False) for id, category, _, _ in [*more, *table]}
    return (ids, table), (spoilt, [rows[id] for id in np.unique(spoilt[spoilt > 0]).tolist()])


def quality_of(categories: Categories, pairs: list[Any], exact: bool) -> PanopticQuality:
    quality = PanopticQuality(categories, exact=exact)
    for pair in pairs:
        truth, prediction = (PanopticMap.from_table(ids, table, categories) for ids, table in pair)
        quality.update(prediction, truth)
    return quality


def answer(quality: PanopticQuality) -> tuple[Any, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        result = quality.compute()
    return result.all, result.things, result.stuff, result.classes, result.images


@settings(max_examples=50)
@given(truth=maps, exact=st.booleans())
def test_truth_against_itself_is_perfect(categories: Categories, truth: Any, exact: bool) -> None:
    ids, table = truth
    clean = (ids, [(id, category, None, False) for id, category, _, _ in table])
    whole, _, _, classes, _ = answer(quality_of(categories, [(clean, clean)], exact))
    assert whole is None or (whole.pq, whole.sq, whole.rq) == (1.0, 1.0, 1.0)
    assert (whole is None) == (not ids.any())
    assert sum(one.tp for one in classes) == len(np.unique(ids[ids > 0]))


@settings(max_examples=50)
@given(pair=pairs(), exact=st.booleans(), data=st.data())
def test_numbering_and_order_of_segments_do_not_matter(
    categories: Categories, pair: Any, exact: bool, data: st.DataObject
) -> None:
    def renumbered(panoptic: Any) -> Any:
        ids, table = panoptic
        fresh = data.draw(st.permutations(range(1, len(table) + 1)))
        new = dict(zip([row[0] for row in table], fresh, strict=True)) | {0: 0}
        crowds = [row for row in table if row[3]]
        others = data.draw(st.permutations([row for row in table if not row[3]]))
        renamed = [(new[id], *rest) for id, *rest in [*others, *crowds]]
        return np.vectorize(new.__getitem__, otypes=[np.int32])(ids), renamed

    before = answer(quality_of(categories, [pair], exact))
    assert before == answer(quality_of(categories, [tuple(map(renumbered, pair))], exact))


@settings(max_examples=50)
@given(images=st.lists(pairs(), max_size=3), exact=st.booleans(), data=st.data())
def test_order_of_images_and_merging_change_no_bit(
    categories: Categories, images: list[Any], exact: bool, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(images)))
    together = quality_of(categories, data.draw(st.permutations(images)), exact)
    merged = quality_of(categories, images[:cut], exact)
    merged.merge(quality_of(categories, images[cut:], exact))
    assert answer(together) == answer(merged)
    whole = answer(merged)[0]
    if whole is not None:
        assert 0 <= whole.pq <= 1 and 0 <= whole.sq <= 1 and 0 <= whole.rq <= 1


def test_many_images_sum_up_to_the_last_bit(categories: Categories) -> None:
    # 2/3 is not a binary fraction; plain float sums of it drift.
    truth, listed = row((1, 3)), [segment(1, PERSON, 3)]
    quality = PanopticQuality(categories)
    part = PanopticQuality(categories)
    part.update_coco(row((2, 2), (0, 1)), [segment(2, PERSON)], truth, listed)
    for _ in range(15):
        twin = PanopticQuality(categories)
        twin.merge(part)
        part.merge(twin)
    quality.merge(part)
    classes = answer(quality)[3]
    assert classes[0].tp == 2**15
    assert classes[0].iou == 2**15 * (2 / 3)

"""All measures in one pass: agreement with the single ones, merging, failure paths, bounded memory."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pansight.categories import Categories, Category
from pansight.errors import CategoryError, DataProblemsError, InputError
from pansight.formats.coco_files import read_ids, read_json
from pansight.metrics import EvaluationWarning, PanopticQuality
from pansight.metrics.evaluation import Evaluation, EvaluationResult
from pansight.metrics.losses import CAUSES
from pansight.metrics.sizes import RELATIVE_SIZES
from pansight.panoptic import PanopticMap

pytestmark = pytest.mark.filterwarnings("ignore::pansight.metrics.EvaluationWarning")

MakePair = Callable[..., tuple[PanopticMap, PanopticMap]]
Pair = tuple[PanopticMap, PanopticMap]
EVERYTHING: dict[str, Any] = {"boundary": True, "bootstrap": 20, "average_precision": True}


def evaluation_of(categories: Categories, *pairs: Pair, first: int = 0, **options: Any) -> Evaluation:
    evaluation = Evaluation(categories, **options)
    for index, (prediction, truth) in enumerate(pairs, start=first):
        evaluation.update(prediction, truth, f"{index}.png")
    return evaluation


def form(result: EvaluationResult) -> dict[str, Any]:
    return json.loads(json.dumps(result.to_json(), allow_nan=False))


@settings(max_examples=25)
@given(
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5),
    cut=st.integers(0, 5),
    exact=st.booleans(),
)
def test_merged_or_not(
    categories: Categories, make_pair: MakePair, seeds: list[int], cut: int, exact: bool
) -> None:
    pairs = [make_pair(seed) for seed in seeds]
    whole = evaluation_of(categories, *pairs, exact=exact, keep_worst=2, **EVERYTHING)
    merged = evaluation_of(categories, *pairs[:cut], exact=exact, keep_worst=2, **EVERYTHING)
    rest = evaluation_of(categories, *pairs[cut:], first=cut, exact=exact, keep_worst=2, **EVERYTHING)
    merged.merge(pickle.loads(pickle.dumps(rest)))
    assert form(merged.compute()) == form(whole.compute())
    assert merged.counted == whole.counted and merged.images == len(pairs)

    quality = PanopticQuality(categories, exact=exact)
    for prediction, truth in pairs:
        quality.update(prediction, truth)
    panoptic, result = quality.compute(), whole.compute()
    assert (result.panoptic.classes, result.panoptic.all) == (panoptic.classes, panoptic.all)
    assert len(result.warnings) == len(panoptic.warnings)


@settings(max_examples=25)
@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4))
def test_truth_against_itself_is_perfect(
    categories: Categories, make_pair: MakePair, seeds: list[int]
) -> None:
    predictions = [make_pair(seed)[0] for seed in seeds]
    result = evaluation_of(categories, *((one, one) for one in predictions), **EVERYTHING).compute()
    whole = result.panoptic.all
    if whole is None:
        assert result.losses.all is None and not result.worst and result.semantic.mean_iou is None
        return
    assert result.boundary is not None and result.boundary.all == whole and whole.pq == 1
    assert result.semantic.mean_iou == 1 and result.semantic.accuracy == 1
    assert result.losses.all is not None and result.losses.all.total == 0
    assert all(picture.pq == 1 for picture in result.worst)
    assert result.ap is not None and result.ap.ap in (None, pytest.approx(1))
    assert result.intervals is not None and result.intervals.all is not None
    assert result.intervals.all.pq.to_json() == [1, 1]


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1))
@example(seed=505)  # sums of IoUs that depended on their order
def test_numbering_does_not_matter(categories: Categories, make_pair: MakePair, seed: int) -> None:
    pair = make_pair(seed)
    numbered = pair[0].remapped(), pair[1].remapped()
    results = [form(evaluation_of(categories, one, **EVERYTHING).compute()) for one in (pair, numbered)]
    assert results[0] == results[1]


def test_worst_pictures(categories: Categories, make_pair: MakePair) -> None:
    pairs = [make_pair(seed) for seed in range(20)]
    blank = PanopticMap.from_table(np.zeros((4, 4), np.int32), [], categories)
    result = evaluation_of(categories, *pairs, (blank, blank), keep_worst=5).compute()
    own = {}
    for index, pair in enumerate(pairs):
        single = evaluation_of(categories, pair).compute()
        if single.panoptic.all is not None and single.losses.all is not None:
            own[f"{index}.png"] = (single.panoptic.all.pq, single.losses.all)
    assert [picture.pq for picture in result.worst] == pytest.approx(sorted(pq for pq, _ in own.values())[:5])
    for picture in result.worst:
        assert picture.pq == pytest.approx(own[picture.name][0], abs=1e-12)
        assert picture.lost == own[picture.name][1]
        assert 100 * picture.pq + picture.lost.total == pytest.approx(100, abs=1e-9)
        assert picture.to_json()["lost"].keys() == set(CAUSES)
    assert evaluation_of(categories, *pairs, keep_worst=0).compute().worst == ()
    with pytest.raises(InputError, match="cannot keep -1 images"):
        Evaluation(categories, keep_worst=-1)


def test_what_was_not_asked_for_is_none(categories: Categories, make_pair: MakePair) -> None:
    result = evaluation_of(categories, make_pair(1)).compute()
    assert result.boundary is None and result.ap is None and result.intervals is None
    keys = {"all", "things", "stuff", "classes", "images", "warnings", "semantic", "sizes", "losses", "worst"}
    assert form(result).keys() == keys | {"boundary", "ap", "intervals"}
    assert form(result)["boundary"] is None
    # Before any picture there is nothing, and that is no error.
    empty = form(Evaluation(categories, **EVERYTHING).compute())
    assert empty["all"] is None and empty["worst"] == [] and empty["ap"]["ap"] is None


def test_a_bad_picture_counts_nowhere(categories: Categories, make_pair: MakePair) -> None:
    prediction, truth = make_pair(1)
    small = PanopticMap.from_table(np.ones((2, 2), np.int32), [(1, 0)], categories)
    evaluation = evaluation_of(categories, (prediction, truth), **EVERYTHING)
    before = form(evaluation.compute())
    with pytest.raises(InputError, match=r"c\.png: the prediction is 2 x 2"):
        evaluation.update(small, truth, "c.png")
    swapped = Categories(list(categories)[::-1], name="swapped")
    with pytest.raises(CategoryError, match="categories of swapped"):
        evaluation.update(PanopticMap.from_table(truth.ids * 0, [], swapped), truth)
    with pytest.raises(DataProblemsError) as caught:
        evaluation.update_coco(
            np.full((2, 2), 7, np.int32),
            [{"id": 8, "category_id": 77}],
            np.ones((2, 2), np.int32),
            [{"id": 1, "category_id": 1}],
            "d.png",
            "truth of d",
        )
    assert caught.value.problems == [
        "truth of d: segment 1 lacks iscrowd",
        f"d.png: segment 8 has category_id 77, which {categories.name} does not have",
        "d.png: id 7 is in the PNG but not in segments_info",
        "d.png: id 8 is in segments_info but not in the PNG",
    ]
    assert form(evaluation.compute()) == before


@pytest.mark.parametrize("options", [{"exact": True}, {"boundary": True}, {"sizes": RELATIVE_SIZES}])
def test_only_alike_evaluations_merge(categories: Categories, options: dict[str, Any]) -> None:
    with pytest.raises(CategoryError, match="cannot be merged"):
        Evaluation(categories).merge(Evaluation(categories, **options))
    swapped = Categories(list(categories)[::-1], name="swapped")
    with pytest.raises(CategoryError, match="evaluation of swapped cannot be merged"):
        Evaluation(categories).merge(Evaluation(swapped))


def test_files_and_maps_agree(categories: Categories, make_pair: MakePair) -> None:
    whole = Evaluation(categories, **EVERYTHING)
    for seed in range(6):
        prediction, truth = make_pair(seed)
        _, wanted = prediction.to_coco(1, "a.png")
        _, true = truth.to_coco(1, "a.png")
        whole.update_coco(
            prediction.ids,
            wanted["segments_info"],
            truth.ids,
            true["segments_info"],
            "prediction",
            "truth",
            f"{seed}.png",
        )
    maps = evaluation_of(categories, *(make_pair(seed) for seed in range(6)), **EVERYTHING)
    files, expected = form(whole.compute()), form(maps.compute())
    del files["warnings"], expected["warnings"]
    assert files == expected


def test_void_that_exact_mode_takes_for_a_segment(categories: Categories) -> None:
    evaluation = Evaluation(categories, exact=True, boundary=True, average_precision=True)
    ids = np.zeros((4, 4), np.int32)
    truth = [{"id": 0, "category_id": 1, "iscrowd": 0, "area": 16}]
    evaluation.update_coco(ids + 3, [{"id": 3, "category_id": 184}], ids, truth)
    losses = evaluation.compute().losses.all
    # The prediction lies in void and is excused; the person was taken for a tree.
    assert losses is not None and losses.wrong_class == 100 == losses.total


def test_a_score_that_is_no_number_is_none(categories: Categories) -> None:
    evaluation = Evaluation(categories, average_precision=True)
    ids = np.ones((2, 2), np.int32)
    truth = [{"id": 1, "category_id": 1, "iscrowd": 0}]
    evaluation.update_coco(ids, [{"id": 1, "category_id": 1, "score": 1}], ids, truth)
    ap = evaluation.compute().ap
    assert ap is not None and ap.ap == pytest.approx(1)
    # All else stands, and the first remark says why there is no AP.
    evaluation.remarks.add("other", "remark")
    evaluation.update_coco(ids, [{"id": 1, "category_id": 1, "score": "high"}], ids, truth, name="b.png")
    result = evaluation.compute()
    assert result.ap is None and result.panoptic.images == 2
    assert result.warnings[0] == (
        "mask AP: left out: 1 predicted thing has no score (segment 1 of b.png); write a score with each"
    )
    assert evaluation.compute().warnings == result.warnings


def test_numbers_too_large_for_a_float(categories: Categories) -> None:
    evaluation = Evaluation(categories, average_precision=True, exact=True)
    ids = np.ones((2, 2), np.int32)
    truth = [{"id": 1, "category_id": 1, "iscrowd": 0, "area": 10**400}]
    evaluation.update_coco(ids, [{"id": 1, "category_id": 1, "score": 10**400}], ids, truth)
    result = evaluation.compute()
    assert result.panoptic.classes[0].fn == 1
    assert any("has area inf in the JSON" in line for line in result.warnings)


def test_reference_values_and_remarks_in_one_pass(shared_data: Path) -> None:
    for case in ("b06_two_crowds_same_class", "b12_gt_area_disagrees", "b14_gt_png_id_not_in_json"):
        root = shared_data / "golden" / "pq" / case
        truth, prediction = read_json(root / "gt.json"), read_json(root / "pred.json")
        categories = Categories.from_json(truth["categories"])
        predictions = {one["image_id"]: one for one in prediction["annotations"]}
        evaluation, quality = Evaluation(categories, exact=True, boundary=True), None
        quality = PanopticQuality(categories, exact=True)
        for annotation in truth["annotations"]:
            predicted = predictions[annotation["image_id"]]
            for scorer in (evaluation, quality):
                scorer.update_coco(
                    read_ids(root / "pred" / predicted["file_name"]),
                    predicted["segments_info"],
                    read_ids(root / "gt" / annotation["file_name"]),
                    annotation["segments_info"],
                )
        with pytest.warns(EvaluationWarning):
            result = evaluation.compute()
        assert result.panoptic.classes == quality.compute().classes
        assert result.warnings == quality.compute().warnings and result.warnings
        for one, losses in zip(result.panoptic.classes, result.losses.classes, strict=True):
            assert losses is None or 100 * one.pq + losses.total == pytest.approx(100, abs=1e-9)


# Classes of the published example: colours in the predictions, gray levels of the truth.
COLORS = {
    (0, 0, 255): 0,
    (255, 0, 0): 1,
    (0, 255, 0): 2,
    (255, 0, 255): 3,
    (0, 255, 255): 4,
    (255, 255, 0): 5,
}
GRAYS = {
    "bird_gt": {92: 4, 176: 2, 255: 3},
    "cat_gt": {255: 5},
    "team_gt_instance": {47: 0, 97: 0, 133: 0, 150: 0, 174: 0, 198: 1, 215: 0, 244: 0, 255: 0},
}


@pytest.mark.parametrize(
    ("names", "pq", "sq", "rq"),
    [
        (["team"], 0.62156284, 0.64664984, 0.9666667),
        (["bird", "cat", "team"], 0.76855499, 0.7769174, 0.98888892),
    ],
)
def test_published_values_of_deeplab2(
    shared_data: Path, names: list[str], pq: float, sq: float, rq: float
) -> None:
    folder = shared_data / "data/formats/deeplab2_pq_testdata/evaluation/testdata"
    words = ("person", "bear", "tree", "bird", "sky", "cat")
    categories = Categories(
        Category(word, word not in ("tree", "sky"), id, (0, 0, 0)) for id, word in enumerate(words, start=1)
    )
    evaluation = Evaluation(categories, boundary=True)
    for name in names:
        kind = "team_gt_instance" if name == "team" else f"{name}_gt"
        truth = np.asarray(Image.open(folder / f"{kind}.png").convert("L")).astype(np.int32)
        # 0 is the class that is ignored; in both, a segment is one instance value of one class.
        true = PanopticMap.from_table(truth, list(GRAYS[kind].items()), categories, unlisted="void")
        colors = np.asarray(Image.open(folder / f"{name}_pred_class.png").convert("RGB"))
        instances = np.asarray(Image.open(folder / f"{name}_pred_instance.png").convert("L")).astype(np.int32)
        ids, table = np.zeros_like(instances), []
        for category, color in enumerate(COLORS):
            mask = (colors == color).all(axis=2)
            ids[mask] = instances[mask] + 1 + 256 * category
            table += [(int(id), category) for id in np.unique(ids[mask])]
        evaluation.update(PanopticMap.from_table(ids, table, categories), true, name)
    result = evaluation.compute()
    assert result.panoptic.all is not None
    assert result.panoptic.all.pq == pytest.approx(pq, abs=1e-7)
    assert result.panoptic.all.sq == pytest.approx(sq, abs=1e-7)
    assert result.panoptic.all.rq == pytest.approx(rq, abs=1e-7)
    assert result.losses.all is not None and result.losses.all.total == pytest.approx(
        100 * (1 - pq), abs=1e-5
    )


MANY = """
import pickle, resource, sys
import numpy as np
from pansight.categories import Categories, Category
from pansight.metrics.evaluation import Evaluation
from pansight.panoptic import PanopticMap

categories = Categories(Category(f"class {i}", i < 10, i, (0, 0, 0)) for i in range(20))
constant = Evaluation(categories, boundary=True)
growing = Evaluation(categories, bootstrap=20, average_precision=True)
for image in range(5000):
    rng = np.random.default_rng(image)
    maps = []
    for _ in range(2):
        ids = np.kron(rng.integers(8, size=(3, 4), dtype=np.int32), np.ones((12, 12), np.int32))
        table = [(id, int(rng.integers(20)), float(rng.random())) for id in range(1, 8)]
        maps.append(PanopticMap.from_table(ids, table, categories))
    name = f"{image:06d}.png"
    constant.update(maps[0], maps[1], name)
    if image % 5 == 0:
        growing.update(maps[0], maps[1], name)
    if image % 1000 == 999:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(len(pickle.dumps(constant)), len(pickle.dumps(growing)), peak)
result = constant.compute()
print(result.panoptic.images, 100 * result.panoptic.all.pq + result.losses.all.total, len(result.worst))
"""


@pytest.mark.slow
def test_five_thousand_maps_in_constant_memory() -> None:
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, check=True)
    *lines, last = done.stdout.splitlines()
    constant, growing, peaks = np.array([line.split() for line in lines], dtype=np.int64).T
    # The state is as large after 5,000 pictures as after 1,000, but for the digits of its numbers.
    assert abs(constant[-1] - constant[0]) < 500
    # Some 11 classes and 7 objects a picture, at 28 and 16 bytes.
    assert (growing[-1] - growing[0]) / 800 < 500
    # In KiB: 4,000 more pictures cost what is kept of them, and nothing else stays.
    assert peaks[-1] - peaks[0] < 8 * 1024
    images, total, worst = last.split()
    assert (images, worst) == ("5000", "12") and float(total) == pytest.approx(100, abs=1e-9)

"""Accumulators carried between processes: as a state, and by torch.distributed."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.categories import Categories, Category
from pansight.errors import CategoryError, InputError
from pansight.metrics import Evaluation, EvaluationWarning, PanopticQuality, PanopticQualityResult
from pansight.metrics.distributed import all_reduce
from pansight.panoptic import PanopticMap

CAR = 3

PROGRAM = """
import json, sys, warnings
import torch.distributed as dist
sys.path.insert(0, {tests!r})
from test_distributed import evaluation_of, part_of
from pansight.categories import Categories, Category
from pansight.errors import CategoryError
from pansight.metrics.distributed import all_reduce

rank, store = int(sys.argv[1]), sys.argv[2]
warnings.simplefilter("ignore")
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=2)
categories = Categories([Category("car", True, 3, (0, 0, 0)), Category("tree", False, 4, (0, 0, 0))])
own = part_of(categories, 2 * rank)
all_reduce(own)
result = all_reduce(own).compute()
try:
    all_reduce(part_of(categories, rank, exact=rank == 1))
    refused = ""
except CategoryError as error:
    refused = str(error)
whole = all_reduce(evaluation_of(categories, rank))
alone = evaluation_of(categories, 0)
alone.merge(evaluation_of(categories, 1))
alike = json.dumps(whole.compute().to_json()) == json.dumps(alone.compute().to_json()) and whole.images == 5
print(json.dumps({{"result": result.to_json(), "own": own.images, "refused": refused, "alike": alike}}))
dist.destroy_process_group()
"""


def part_of(categories: Categories, rank: int, exact: bool = False) -> PanopticQuality:
    """What process `rank` sees: so many images, each remarked on, none for the first."""
    quality = PanopticQuality(categories, exact=exact)
    for image in range(rank):
        truth = np.full((2, 30), 5, dtype=np.int32)
        truth[:, : image + rank] = 9  # not listed
        predicted = np.full_like(truth, 1)
        predicted[:, 25 - rank :] = 2
        quality.update_coco(
            predicted,
            [{"id": 1, "category_id": CAR}, {"id": 2, "category_id": CAR}],
            truth,
            [{"id": 5, "category_id": CAR, "iscrowd": 0, "area": int((truth == 5).sum())}],
            truth_name=f"image {image} of process {rank}",
        )
    return quality


def evaluation_of(categories: Categories, rank: int) -> Evaluation:
    """What process `rank` sees, with every measure: two images, or three."""
    evaluation = Evaluation(categories, boundary=True, bootstrap=20, average_precision=True, segments=True)
    for image in range(2 + rank):
        generator = np.random.default_rng([rank, image])
        truth = np.full((20, 30), 5, dtype=np.int32)
        truth[:, 15:] = 6
        predicted = np.full_like(truth, 1)
        predicted[:, int(generator.integers(12, 18)) :] = 2
        evaluation.update(
            PanopticMap.from_table(predicted, [(1, 0, float(generator.random())), (2, 1, 0.9)], categories),
            PanopticMap.from_table(truth, [(5, 0), (6, 1)], categories),
            f"image {image} of process {rank}",
        )
    return evaluation


def quiet(quality: PanopticQuality) -> PanopticQualityResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        return quality.compute()


def whole(categories: Categories) -> PanopticQuality:
    quality = PanopticQuality(categories)
    for rank in range(3):
        quality.merge(part_of(categories, rank))
    return quality


def test_two_processes_get_the_same_whole(tmp_path: Path) -> None:
    program = PROGRAM.format(tests=str(Path(__file__).parent))
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(rank), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    answers = []
    for run in runs:
        output, _ = run.communicate(timeout=300)
        assert run.returncode == 0
        answers.append(json.loads(output))
    categories = Categories([Category("car", True, 3, (0, 0, 0)), Category("tree", False, 4, (0, 0, 0))])
    expected = quiet(part_of(categories, 2))  # process 0 has seen nothing
    assert expected.images == 2 and len(expected.warnings) == 3
    for rank, answer in enumerate(answers):
        assert answer["result"] == json.loads(json.dumps(expected.to_json()))
        assert answer["own"] == 2 * rank, "what a process has seen itself must stay"
        assert "process 1 evaluates" in answer["refused"] and "make both alike" in answer["refused"]
        assert answer["alike"], "every measure of both processes' images is what one process finds"


def test_one_process_alone_gets_a_copy(categories: Categories) -> None:
    quality = whole(categories)
    copy = all_reduce(quality)
    assert quiet(copy) == quiet(quality)
    copy.merge(quality)
    assert quality.images == 3 and copy.images == 6


@settings(max_examples=20)
@given(order=st.permutations(range(4)), exact=st.booleans())
def test_states_add_up_in_any_order(categories: Categories, order: list[int], exact: bool) -> None:
    states = [part_of(categories, rank, exact).state() for rank in order]
    merged = PanopticQuality(categories, exact=exact)
    for state in states:
        merged.merge(PanopticQuality.from_state(categories, state))
    straight = PanopticQuality(categories, exact=exact)
    for rank in order:
        straight.merge(part_of(categories, rank, exact))
    assert quiet(merged) == quiet(straight)
    total = sum(state["counts"] for state in states)
    np.testing.assert_array_equal(total, merged.state()["counts"])
    assert total.dtype == np.int64 and total.shape == (5, len(categories))


def test_a_state_is_a_copy_that_survives_json(categories: Categories) -> None:
    quality = part_of(categories, 2)
    state = quality.state()
    plain = json.loads(json.dumps({**state, "counts": state["counts"].tolist()}))
    again = PanopticQuality.from_state(
        categories, {**plain, "counts": np.array(plain["counts"], dtype=np.int64)}
    )
    before = quiet(again)
    assert before == quiet(quality)
    quality.merge(part_of(categories, 1))
    state["counts"][:] = 0
    assert quiet(again) == before and quality.images == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": np.zeros((5, 3), np.int64)}, r"counts of int64 \[5, 3\] do not belong to 4 categories"),
        ({"counts": np.zeros((5, 4))}, "counts of float64"),
        ({"images": "many"}, "not a state of a panoptic quality"),
        ({"remarks": 3}, "not a state of a panoptic quality"),
    ],
)
def test_what_is_no_state_is_refused(categories: Categories, change: dict[str, Any], message: str) -> None:
    state = part_of(categories, 1).state()
    with pytest.raises(InputError, match=message):
        PanopticQuality.from_state(categories, {**state, **change})
    del state["exact"]
    with pytest.raises(InputError, match="not a state of a panoptic quality"):
        PanopticQuality.from_state(categories, state)


def test_other_categories_are_refused(categories: Categories) -> None:
    with pytest.raises(CategoryError, match="cannot be merged"):
        part_of(categories, 1).merge(
            PanopticQuality.from_state(categories, part_of(categories, 1, exact=True).state())
        )

"""Evaluation of files by several workers: the same answer, the same problems, and none left behind."""

import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pansight.errors import DataError, DataProblemsError, InputError
from pansight.metrics import (
    EvaluationWarning,
    PanopticQuality,
    PanopticQualityResult,
    coco_evaluation,
    evaluate_coco,
)
from pansight.metrics.coco_evaluation import score_pairs
from pansight.metrics.coco_pairs import Paired, pair_files

WriteSet = Callable[..., Path]
NUMBER = 21


@pytest.fixture
def sets(write_set: WriteSet) -> tuple[Path, Path]:
    """Images with some errors, and with crowds that are remarked on in an order of their own."""
    rng = np.random.default_rng(4)
    truth, prediction = {}, {}
    for image in range(NUMBER):
        ids = np.kron(rng.integers(0, 4, (3, 4)), np.ones((3, 3), np.int64)) * (image + 1)
        spoilt = np.where(rng.random(ids.shape) < 0.2, 0, ids)
        rows = [
            {
                "id": int(id),
                "category_id": 3,
                "iscrowd": int(rng.random() < 0.4),
                "area": int((ids == id).sum()),
            }
            for id in np.unique(ids[ids > 0])
        ]
        truth[image] = (ids, rows)
        prediction[image] = (
            spoilt,
            [{"id": int(id), "category_id": int(rng.choice([1, 3]))} for id in np.unique(spoilt[spoilt > 0])],
        )
    return write_set("truth", truth), write_set("prediction", prediction)


def quiet(*arguments: Any, **options: Any) -> PanopticQualityResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        return evaluate_coco(*arguments, **options)


@pytest.mark.parametrize(
    ("workers", "processes"), [(2, False), (7, False), pytest.param(2, True, marks=pytest.mark.slow)]
)
def test_any_number_of_workers_gives_the_same_bits(
    sets: tuple[Path, Path], workers: int, processes: bool
) -> None:
    told: list[tuple[int, int]] = []
    alone = quiet(*sets)
    together = quiet(
        *sets, workers=workers, processes=processes, progress=lambda done, of: told.append((done, of))
    )
    assert together == alone
    assert alone.warnings and 0 < alone.classes[1].iou < alone.classes[1].tp
    assert told == [(8, NUMBER), (16, NUMBER), (NUMBER, NUMBER)]


def test_problems_are_those_of_one_worker_in_their_order(sets: tuple[Path, Path]) -> None:
    truth, prediction = sets
    for image in (1, 9, 20):
        (prediction.with_suffix("") / f"{image}.png").unlink()
        (truth.with_suffix("") / f"{image - 1}.png").write_text("no picture")
    problems = []
    for workers in (1, 3):
        with pytest.raises(DataProblemsError) as caught:
            quiet(truth, prediction, workers=workers)
        problems.append(caught.value.problems)
    assert problems[0] == problems[1] and len(problems[0]) == 6


@pytest.mark.parametrize("workers", [0, -1])
def test_there_must_be_a_worker(sets: tuple[Path, Path], workers: int) -> None:
    with pytest.raises(InputError, match=f"workers must be positive, got {workers}"):
        evaluate_coco(*sets, workers=workers)


def paired(sets: tuple[Path, Path]) -> Paired:
    found = pair_files(*sets)
    assert isinstance(found, Paired)
    return found


class KilledPool:
    """A pool whose processes die as if the system had killed them."""

    def __init__(self, workers: int, mp_context: Any) -> None:
        pass

    def map(self, function: Any, shares: Any) -> Iterator[Any]:
        """Nothing comes back."""
        raise BrokenProcessPool("A process in the process pool was terminated abruptly")

    def shutdown(self, cancel_futures: bool) -> None:
        """Nothing is left to stop."""


def test_a_killed_process_is_one_clear_error(
    sets: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco_evaluation, "ProcessPoolExecutor", KilledPool)
    with pytest.raises(DataError, match="one of 2 worker processes was killed") as caught:
        evaluate_coco(*sets, workers=2, processes=True)
    assert "\n" not in str(caught.value)


def test_who_stops_early_leaves_no_worker_and_reads_no_more(
    sets: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = paired(sets)
    pairs = list(found.pairs) * 40
    before = threading.active_count()
    shares = score_pairs(pairs, partial(PanopticQuality, found.categories), 2)
    assert next(shares).pairs == 8
    closed = []
    real = ThreadPoolExecutor.shutdown

    def shutdown(pool: ThreadPoolExecutor, *arguments: Any, **options: Any) -> None:
        real(pool, *arguments, **options)
        closed.append(pool._work_queue.qsize())

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shutdown)
    shares.close()
    assert threading.active_count() == before and len(closed) == 1

"""Panoptic quality of files in COCO panoptic format, whatever tool wrote them."""

import multiprocessing
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Int32, Integer

from pansight.categories import Categories
from pansight.errors import DataError, DataProblemsError, InputError
from pansight.formats.coco_files import read_ids
from pansight.metrics.coco_pairs import Pair, PathLike, Side, pair_files
from pansight.metrics.coco_segments import check_pixels_of_prediction, read_prediction, read_truth
from pansight.metrics.freed_memory import reuse_freed_memory
from pansight.metrics.overlaps import count_overlaps
from pansight.metrics.panoptic_quality import PanopticQuality
from pansight.metrics.remarks import Remarks
from pansight.metrics.results import PanopticQualityResult

_SHARE = 8
"""Images that a worker takes at a time."""


@runtime_checkable
class Scorer(Protocol):
    """What images can be scored with: `PanopticQuality`, or `Evaluation`, which measures more."""

    categories: Categories

    def update_coco(
        self,
        prediction_ids: Integer[np.ndarray, "h w"],
        prediction_segments: Sequence[Any],
        truth_ids: Integer[np.ndarray, "truth_h truth_w"],
        truth_segments: Sequence[Any],
        prediction_name: str = ...,
        truth_name: str = ...,
        name: str = ...,
    ) -> None:
        """Score one image."""


ScorerType = TypeVar("ScorerType", bound=Scorer)


@dataclass(frozen=True)
class Share(Generic[ScorerType]):
    """Some of the pairs, scored: what was counted, all that is wrong with them, and how many they are."""

    scorer: ScorerType
    problems: list[str]
    pairs: int


def evaluate_coco(
    gt_json: PathLike,
    pred_json: PathLike,
    gt_folder: PathLike | None = None,
    pred_folder: PathLike | None = None,
    exact: bool = True,
    progress: Callable[[int, int], None] | None = None,
    categories: Categories | None = None,
    workers: int = 1,
    processes: bool = False,
    by_name: bool = False,
) -> PanopticQualityResult:
    """Score predictions against the truth, both as COCO panoptic JSON + PNG of ids; nothing is written.

    The folders of the PNGs default to those next to the JSON files, named like them without the ending.
    `exact`: the reference's answer, quirks included (see `PanopticQuality`). `progress` is called with
    (images done, images in all). `categories`: for truth whose JSON has none. `workers`, `processes`: see
    `score_pairs`; the answer is the same to the last bit, whatever their number. `by_name`: pair images by
    their file names, not their ids (see `pair_files`).

    Every image is checked before anything is returned: DataProblemsError lists all problems found, by file.
    Having nothing to score (no annotations, or no segment anywhere) is one as well. Raises InputError
    when `workers` is below 1.
    """
    paired = pair_files(gt_json, pred_json, gt_folder, pred_folder, categories, by_name)
    if isinstance(paired, list):
        raise refusal(paired)
    problems = list(paired.problems)
    start = partial(PanopticQuality, paired.categories, exact=exact)
    quality = start()
    done = 0
    for share in score_pairs(paired.pairs, start, workers, processes):
        quality.merge(share.scorer)
        problems += share.problems
        done += share.pairs
        if progress is not None:
            progress(done, len(paired.pairs))
    quality.remarks.merge(paired.remarks)
    if not problems and not quality.counted:
        problems.append(f"{gt_json}: nothing to score: no segment of a known category in truth or prediction")
    if problems:
        raise refusal(problems)
    return quality.compute()


def score_pairs(
    pairs: Sequence[Pair], start: Callable[[], ScorerType], workers: int = 1, processes: bool = False
) -> Generator[Share[ScorerType], None, None]:
    """Read and score all pairs, each share into a scorer of its own that `start` makes; shares come in order.

    Each worker has one pair of images in memory. `workers` are threads, which start at once and scale to a
    few cores, as decoding and counting let others run. With `processes`, they are processes, which take
    seconds to start (a script that asks for them needs the usual `if __name__ == "__main__"`; `start` and
    the scorers must be picklable) and scale further. Ending the iteration stops them.

    Raises InputError when `workers` is below 1, DataError when a process was killed.
    """
    if workers < 1:
        raise InputError(f"workers must be positive, got {workers}")
    score: Callable[[Sequence[Pair]], Share[ScorerType]] = partial(score_share, start)
    if workers == 1:
        yield from map(score, ([pair] for pair in pairs))
        return
    shares = [pairs[first : first + _SHARE] for first in range(0, len(pairs), _SHARE)]
    pool: Executor
    if processes:
        # Not forked: a copy of a process whose libraries run threads may hang.
        pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    else:
        pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(score, shares)
    except BrokenProcessPool as error:
        raise DataError(
            f"one of {workers} worker processes was killed, as when memory is short; use fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def refusal(problems: Sequence[str]) -> DataProblemsError:
    """The error that lists all problems, each once: one file may serve two images."""
    unique = list(dict.fromkeys(problems))
    count = f"{len(unique)} problems" if len(unique) > 1 else "1 problem"
    return DataProblemsError(f"{count} found; nothing was scored", unique)


def score_share(start: Callable[[], ScorerType], pairs: Sequence[Pair]) -> Share[ScorerType]:
    """Read and score these pairs in this process, into a scorer of their own."""
    reuse_freed_memory()
    scorer = start()
    problems = [problem for pair in pairs for problem in _score(scorer, pair)]
    return Share(scorer, problems, len(pairs))


def _score(scorer: Scorer, pair: Pair) -> list[str]:
    """Score one pair of images, or say all that is wrong with what there is of it."""
    problems: list[str] = []
    true, predicted = pair.truth, pair.prediction
    true_map, predicted_map = _read(true, problems), _read(predicted, problems)
    if true is not None and predicted is not None and true_map is not None and predicted_map is not None:
        try:
            scorer.update_coco(
                predicted_map,
                predicted.segments_info,
                true_map,
                true.segments_info,
                predicted.name,
                true.name,
                pair.name,
            )
        except DataProblemsError as error:
            problems += error.problems
        except InputError as error:
            problems.append(str(error))
        return problems
    if true is not None:
        read_truth(true.segments_info, scorer.categories, true.name, problems, Remarks())
    if predicted is not None:
        table = read_prediction(
            predicted.segments_info, scorer.categories, predicted.name, problems, Remarks()
        )
        if predicted_map is not None:
            overlaps = count_overlaps(predicted_map, predicted_map)
            check_pixels_of_prediction(table, overlaps, predicted.name, problems, Remarks())
    return problems


def _read(side: Side | None, problems: list[str]) -> Int32[np.ndarray, "h w"] | None:
    if side is None or side.lost:
        return None
    try:
        return read_ids(side.picture)
    except DataError as error:
        problems.append(str(error))
        return None

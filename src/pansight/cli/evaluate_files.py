"""`pansight evaluate TRUTH.json PREDICTIONS.json`: predictions of any tool, scored from files."""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from rich.console import Console

from pansight.categories import Categories
from pansight.cli.evaluate_output import Finished, Measures
from pansight.cli.progress import progress_bar
from pansight.data.coco import find_picture
from pansight.data.folders import Folder, open_folder
from pansight.data.pictures import read_picture
from pansight.errors import PansightError
from pansight.formats.coco_files import is_crowd_flag, read_ids
from pansight.metrics.coco_evaluation import Share, refusal, score_pairs
from pansight.metrics.coco_pairs import Pair, Paired, Side, pair_files
from pansight.metrics.evaluation import Evaluation
from pansight.metrics.remarks import EvaluationWarning
from pansight.panoptic import PanopticMap
from pansight.reporting.report import LostPicture, lost_picture
from pansight.runtime.inputs import printable

_FEW = 4
"""Up to this many workers are threads, which start at once; more are processes, free of each other's lock."""


class FilesJob(NamedTuple):
    """What is to be scored: two JSON files, and what else is said of them; see `pair_files`.

    `images`: the folder or .zip of the images, for the report alone. `share_out`: what scores the pairs, in
    order, where `workers` of this machine do not. `shown`: what parts of paths are called in messages.
    """

    truth: Path
    predictions: Path
    truth_masks: Path | None = None
    prediction_masks: Path | None = None
    images: Path | None = None
    categories: Categories | None = None
    by_name: bool = False
    workers: int = 1
    categories_by_name: bool = False
    share_out: "Callable[[Sequence[Pair], Callable[[], Evaluation]], Iterable[Share[Evaluation]]] | None" = (
        None
    )
    shown: Mapping[str, str] = MappingProxyType({})

    def run(self, measures: Measures) -> Finished:
        """Read and score every pair, with a progress bar; Ctrl-C ends it early.

        Raises DataProblemsError, listing all that is wrong with the files, and DataError where there is no
        folder of the images.
        """
        paired = pair_files(
            self.truth,
            self.predictions,
            self.truth_masks,
            self.prediction_masks,
            self.categories,
            self.by_name,
            self.categories_by_name,
        )
        if isinstance(paired, list):
            raise refusal([self._called(problem) for problem in paired])
        images = None if self.images is None else open_folder(self.images)
        started = time.perf_counter()
        evaluation, problems, stopped = self._score(paired, measures)
        seconds = time.perf_counter() - started
        if not problems and not stopped and not evaluation.counted:
            problems.append(
                f"{self.truth}: nothing to score: no segment of a known category in truth or prediction"
            )
        if problems:
            raise refusal([self._called(problem) for problem in problems])
        if not evaluation.images:
            raise KeyboardInterrupt
        # What holds for the whole files comes first: of remarks on segments there may be many.
        paired.remarks.merge(evaluation.remarks)
        evaluation.remarks = paired.remarks
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EvaluationWarning)  # they are printed
            result = evaluation.compute()
        shown = tuple(map(self._called, result.warnings))
        result = replace(result, panoptic=replace(result.panoptic, warnings=shown))
        found = {pair.name: pair for pair in reversed(paired.pairs)}
        count, each = evaluation.images, 1000 * seconds / evaluation.images
        return Finished(
            subject=self._called(printable(self.predictions)),
            data=self._called(printable(self.truth)),
            result=result,
            mode="exact" if measures.exact else "sane",
            views=lambda name: _views(found[name], paired.categories, images),
            planned=len(paired.pairs) if stopped else None,
            segments=evaluation.segments,
            facts=(("images", f"{count}, in {seconds:.1f} s ({each:.1f} ms each, reading included)"),),
        )

    def _called(self, text: str) -> str:
        """A message with the names that the user knows."""
        for part, name in self.shown.items():
            text = text.replace(part, name)
        return text

    def _score(self, paired: Paired, measures: Measures) -> tuple[Evaluation, list[str], bool]:
        """All counts, the problems met, and whether Ctrl-C ended it."""
        errors = Console(stderr=True, soft_wrap=True, highlight=False)
        start = partial(measures.start, paired.categories)
        evaluation, problems = start(), list(paired.problems)
        # Ctrl-C reaches the main thread alone, so it never leaves a share half merged.
        with progress_bar(errors) as progress, ThreadPoolExecutor(1) as merger:
            task = progress.add_task("scoring", total=len(paired.pairs))
            try:
                shares = (
                    score_pairs(paired.pairs, start, self.workers, self.workers > _FEW)
                    if self.share_out is None
                    else self.share_out(paired.pairs, start)
                )
                for share in shares:
                    merger.submit(evaluation.merge, share.scorer).result()
                    problems += share.problems
                    progress.advance(task, share.pairs)
            except KeyboardInterrupt:
                return evaluation, problems, True
        return evaluation, problems, False


def _views(pair: Pair, categories: Categories, images: Folder | None) -> LostPicture | None:
    if pair.truth is None or pair.prediction is None:
        return None
    truth, prediction = _as_map(pair.truth, categories), _as_map(pair.prediction, categories)
    image = None if images is None else _picture(images, pair.name, truth)
    return lost_picture(pair.name, image, prediction, truth)


def _as_map(side: Side, categories: Categories) -> PanopticMap:
    """The side as a map; what is not listed, or of a category that the truth does not have, is void."""
    rows = {}
    for row in side.segments_info:
        category = categories.dataset_index.get(row["category_id"])
        if category is not None and row["id"] > 0:
            rows[row["id"]] = (row["id"], category, None, is_crowd_flag(row.get("iscrowd")))
    return PanopticMap.from_table(read_ids(side.picture), rows.values(), categories, unlisted="void")


def _picture(images: Folder, name: str, truth: PanopticMap) -> UInt8[np.ndarray, "h w 3"] | None:
    """The image; None where it is not there or of no use."""
    try:
        file = find_picture(images, name)
        return None if file is None else read_picture(file, truth.height, truth.width)
    except PansightError:
        return None

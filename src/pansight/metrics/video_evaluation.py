"""Video panoptic quality and tracking quality of files or maps, frame by frame."""

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int32

from pansight.categories import Categories
from pansight.errors import DataError, DataProblemsError, InputError
from pansight.formats.coco_files import read_ids
from pansight.metrics.coco_evaluation import refusal
from pansight.metrics.coco_pairs import PathLike, Side
from pansight.metrics.remarks import EvaluationWarning, Remarks
from pansight.metrics.results import PanopticQualityResult, Quality
from pansight.metrics.video_frames import FramePair, pair_coco, pair_maps, pair_missing
from pansight.metrics.video_pairs import PairedVideos, VideoFrame, pair_videos
from pansight.metrics.video_panoptic_quality import WINDOWS, TubeQuality
from pansight.metrics.video_tracking_quality import TrackingQuality, TrackingScore
from pansight.panoptic import PanopticMap

AVERAGES = ((1, 2, 3, 4), (1, 2, 4, 6), (1, 2, 4, 6, 8))
"""Sets of windows whose mean is called VPQ: Cityscapes-VPS's, VIPSeg's paper's, VIPSeg's script's."""

Missing = Literal["error", "void"]
"""What a frame without a prediction is: an error, or predicted void all over."""


@dataclass(frozen=True)
class VideoResult:
    """The answer of an evaluation of videos; fractions of 1.

    `vpq`: the quality by window length, None where no clip has that many frames. `tracking`: STQ over all
    clips; `clips`: of each. `tracking_vipseg`: STQ as VIPSeg's own script counts (exact mode only).
    """

    vpq: dict[int, PanopticQualityResult | None]
    tracking: TrackingScore
    clips: dict[str, TrackingScore]
    exact: bool
    tracking_vipseg: TrackingScore | None = None
    warnings: tuple[str, ...] = field(default=())

    def mean(self, windows: Iterable[int], group: str = "all") -> Quality | None:
        """The mean of `all`, `things` or `stuff` over windows; None where one of them has no value."""
        found = []
        for window in windows:
            result = self.vpq.get(window)
            quality = None if result is None else getattr(result, group)
            if quality is None:
                return None
            found.append(quality)
        n = len(found)
        return Quality(
            sum(one.pq for one in found) / n,
            sum(one.sq for one in found) / n,
            sum(one.rq for one in found) / n,
            min(one.n for one in found),
        )

    def to_json(self) -> dict[str, Any]:
        """Unrounded: `vpq` by window (`all`, `things`, `stuff`, `classes`), `vpq_mean` by set, `stq`."""
        groups = ("all", "things", "stuff")
        vpq: dict[str, Any] = {}
        for window, result in self.vpq.items():
            form = result.to_json() if result is not None else {"classes": {}}
            vpq[str(window)] = {
                **{name: form.get(name) or {"pq": None, "sq": None, "rq": None, "n": 0} for name in groups},
                "classes": form["classes"],
                "count": 0 if result is None else result.images,
            }
        means: dict[str, Any] = {}
        for windows in AVERAGES:
            row = {name: self.mean(windows, name) for name in groups}
            means[",".join(map(str, windows))] = {
                name: {"pq": None if one is None else one.pq} for name, one in row.items()
            }
        content = {
            "vpq": vpq,
            "vpq_mean": means,
            "stq": {
                **_score(self.tracking),
                "clips": {name: _score(one) for name, one in self.clips.items()},
            },
            "id_switches": self.tracking.switches,
            "frames": self.tracking.frames,
            "mode": "exact" if self.exact else "sane",
            "warnings": list(self.warnings),
        }
        if self.tracking_vipseg is not None:
            content["stq_vipseg_script"] = _score(self.tracking_vipseg)
        return content


def _score(score: TrackingScore) -> dict[str, Any]:
    return {
        "stq": score.stq,
        "aq": score.aq,
        "iou": score.iou,
        "tubes": score.tubes,
        "id_switches": score.switches,
        "frames": score.frames,
    }


class VideoEvaluation:
    """Accumulates VPQ, STQ and identity switches frame by frame, holding only a few frames in memory.

    Frames come clip by clip, each clip in the order of time: `start_clip`, then `update` or `update_coco`.
    `exact`: the references' answers, quirks included; else they are repaired: areas of true segments are
    counted, all crowds of a category excuse, true ids that are not listed are void, listed ones without
    pixels do not exist, and in STQ void is not a category.

    >>> from pansight.scenes import render_clip
    >>> clip = [sample.panoptic for sample in render_clip(3, 1, 64, 96, 4)]
    >>> evaluation = VideoEvaluation(clip[0].categories)
    >>> evaluation.start_clip("one")
    >>> for truth in clip:
    ...     evaluation.update(truth, truth)
    >>> evaluation.compute().tracking.stq
    1.0
    """

    def __init__(
        self, categories: Categories, *, exact: bool = False, windows: Iterable[int] = WINDOWS
    ) -> None:
        self.categories = categories
        self.exact = exact
        self.remarks = Remarks()
        self.frames = 0
        self._tubes = TubeQuality(categories, tuple(windows), exact)
        self._tracking = [TrackingQuality(categories, exact)]
        if exact:
            self._tracking.append(TrackingQuality(categories, exact, numbered_by_rank=True))
        self._clip: str | None = None
        self._lengths: dict[str, int] = {}
        self._classes: list[dict[int, int]] = [{}, {}]
        self._in_tubes = True

    def start_clip(self, name: str) -> None:
        """The next frame is the first of this clip. Raises InputError when it was there before."""
        if name in self._lengths:
            raise InputError(f"clip {name!r} was already scored; give each clip its own name")
        self._clip = name
        self._lengths[name] = 0
        self._classes = [{}, {}]
        self._tubes.start_clip()
        for tracking in self._tracking:
            tracking.start_clip(name)

    def update(self, prediction: PanopticMap, truth: PanopticMap) -> None:
        """Score a frame given as two maps of equal size, whose ids last through the clip.

        Raises InputError when they differ in size, CategoryError when they have other categories.
        """
        self.add(pair_maps(prediction, truth, self.categories, self._name()))

    def add(self, frame: FramePair, name: str = "") -> None:
        """Score a frame that is paired already. Raises DataProblemsError where areas are impossible."""
        name = name or self._name()
        if self._clip is None:
            raise InputError("no clip was started; call start_clip with its name first")
        self._note_classes(frame, name)
        for tracking in self._tracking:
            tracking.update(frame)
        self._lengths[self._clip] += 1
        self.frames += 1
        problems = self._tubes.update(frame)
        if problems:
            raise DataProblemsError(
                f"{name}: not scored", [f"{name}: {problem}" for problem in dict.fromkeys(problems)]
            )

    def compute(self) -> VideoResult:
        """The scores over everything seen so far. Emits one EvaluationWarning when there are remarks."""
        score, *more = (tracking.compute() for tracking in self._tracking)
        vpq = {window: self._tubes.result(window) for window in self._tubes.windows}
        lines = (*self.remarks.lines(), *self._short())
        if lines:
            rest = f" (and {len(lines) - 1} more in result.warnings)" if len(lines) > 1 else ""
            warnings.warn(f"{lines[0]}{rest}", EvaluationWarning, stacklevel=2)
        return VideoResult(
            vpq, score, dict(self._tracking[0].clips), self.exact, more[0] if more else None, tuple(lines)
        )

    def _name(self) -> str:
        count = self._lengths.get(self._clip or "", 0)
        return f"frame {count + 1} of clip {self._clip}"

    def _short(self) -> Iterator[str]:
        for window in self._tubes.windows:
            short = [name for name, length in self._lengths.items() if length < window]
            if short and len(short) < len(self._lengths):
                yield (
                    f"short clip: {len(short)} of {len(self._lengths)} clips have no window of {window} "
                    f"frames and add nothing to it, the first is {short[0]}"
                )
            elif short:
                yield f"short clip: no clip has {window} frames, so windows of {window} have no value"

    def _note_classes(self, frame: FramePair, name: str) -> None:
        for side, table, known in zip(
            ("true", "predicted"), (frame.truth, frame.prediction), self._classes, strict=True
        ):
            for id, category in zip(table.ids.tolist(), table.categories.tolist(), strict=True):
                before = known.setdefault(id, category)
                if before != category and before >= 0 and category >= 0:
                    self.remarks.add(
                        "id changes class",
                        f"{name}: {side} id {id} was {self.categories[before].name}, is "
                        f"{self.categories[category].name}; in a window the first frame's class stands",
                    )
                    known[id] = category


def evaluate_video(
    gt_json: PathLike,
    pred_json: PathLike,
    gt_folder: PathLike | None = None,
    pred_folder: PathLike | None = None,
    *,
    exact: bool = False,
    missing: Missing = "error",
    categories: Categories | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> VideoResult:
    """Score predicted videos against the truth, both as JSON + PNG of ids, in any form of `pair_videos`.

    Every frame is read once, a few ahead of the scoring by `workers` threads. `exact`: the references'
    answers, quirks included (see `VideoEvaluation`). `missing`: how a frame without a prediction counts.
    `progress` is called with (frames done, frames in all).

    Everything is checked before anything is returned: DataProblemsError lists all problems found, by file.
    """
    paired = pair_videos(gt_json, pred_json, gt_folder, pred_folder, categories)
    if isinstance(paired, list):
        raise refusal(paired)
    evaluation, problems = score_videos(
        paired, exact=exact, missing=missing, workers=workers, progress=progress
    )
    if not problems and not evaluation.frames:
        problems.append(f"{gt_json}: nothing to score: it lists no frames")
    if problems:
        raise refusal(problems)
    return evaluation.compute()


class _Loaded(NamedTuple):
    """A frame with its pixels, or what is wrong with it."""

    frame: VideoFrame
    pair: FramePair | None
    remarks: Remarks
    problems: list[str]


def score_videos(
    paired: PairedVideos,
    *,
    exact: bool,
    missing: Missing,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[VideoEvaluation, list[str]]:
    """Score all frames; the evaluation and all that is wrong, in the order of the frames."""
    if workers < 1:
        raise InputError(f"workers must be positive, got {workers}")
    evaluation = VideoEvaluation(paired.categories, exact=exact)
    evaluation.remarks.merge(paired.remarks)
    problems = list(paired.problems)
    if missing == "error":
        problems += paired.missing
    frames = [frame for clip in paired.clips.values() for frame in clip]
    clip = None
    for done, loaded in enumerate(_load(frames, paired.categories, exact, workers), 1):
        if loaded.frame.clip != clip:
            clip = loaded.frame.clip
            evaluation.start_clip(clip)
        problems += loaded.problems
        evaluation.remarks.merge(loaded.remarks)
        if loaded.pair is not None and not problems:
            try:
                evaluation.add(loaded.pair, loaded.frame.truth.name if loaded.frame.truth else "")
            except DataProblemsError as error:
                problems += error.problems
        if progress is not None:
            progress(done, len(frames))
    return evaluation, problems


def _load(frames: list[VideoFrame], categories: Categories, exact: bool, workers: int) -> Iterator[_Loaded]:
    """All frames in order, a few of them read ahead by threads."""
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[_Loaded]] = deque()
        waiting = iter(frames)
        try:
            for frame in waiting:
                ahead.append(pool.submit(_read, frame, categories, exact))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _read(frame: VideoFrame, categories: Categories, exact: bool) -> _Loaded:
    problems: list[str] = []
    remarks = Remarks()
    truth, prediction = frame.truth, frame.prediction
    true_ids, found_ids = _pixels(truth, problems), _pixels(prediction, problems)
    pair = None
    if truth is not None and true_ids is not None:
        try:
            if prediction is None:
                pair = pair_missing(
                    true_ids, truth.segments_info, categories, exact, remarks, truth_name=truth.name
                )
            elif found_ids is not None:
                pair = pair_coco(
                    found_ids,
                    prediction.segments_info,
                    true_ids,
                    truth.segments_info,
                    categories,
                    exact,
                    remarks,
                    prediction.name,
                    truth.name,
                )
        except DataProblemsError as error:
            problems += error.problems
    return _Loaded(frame, pair, remarks, problems)


def _pixels(side: Side | None, problems: list[str]) -> Int32[np.ndarray, "h w"] | None:
    if side is None:
        return None
    try:
        return read_ids(side.picture)
    except DataError as error:
        problems.append(str(error))
        return None

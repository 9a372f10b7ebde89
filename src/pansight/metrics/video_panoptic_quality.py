"""VPQ, video panoptic quality: panoptic quality of tubes in windows of n labelled frames.

Kim et al., Video Panoptic Segmentation (CVPR 2020), with the rules of its released evaluation, which
VIPSeg's shares.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from pansight.categories import Categories
from pansight.metrics.counts import Counts
from pansight.metrics.matching import SegmentTable, match_segments
from pansight.metrics.overlaps import Overlaps
from pansight.metrics.results import PanopticQualityResult
from pansight.metrics.video_frames import FramePair
from pansight.panoptic.ids import ID_LIMIT

WINDOWS = (1, 2, 3, 4, 6, 8)
"""Lengths of windows, in labelled frames, of every published average."""

_LARGEST_IOU = 1.0


class TubeQuality:
    """Accumulates matches of tubes frame by frame, in memory of the longest window.

    A tube is all that has one id in a window of consecutive labelled frames; windows overlap (step 1). Its
    category, and whether it is a crowd, is what the first frame of the window that lists it says. Matches,
    misses and false alarms of all windows of all clips are summed, and only then divided.

    `exact`: of several crowds of a category the one listed last in the window alone excuses a prediction, as
    in the reference; else every one does.
    """

    def __init__(self, categories: Categories, windows: Sequence[int] = WINDOWS, exact: bool = False) -> None:
        self.categories = categories
        self.windows = tuple(windows)
        self.exact = exact
        self._counts = {window: Counts(len(categories)) for window in self.windows}
        self._seen = dict.fromkeys(self.windows, 0)
        self._recent: deque[FramePair] = deque(maxlen=max(self.windows))

    def start_clip(self) -> None:
        """The next frame is the first of another clip: no window reaches back over it."""
        self._recent.clear()

    def update(self, frame: FramePair) -> list[str]:
        """Score all windows that end with this frame; answers what is wrong with them (exact mode alone)."""
        self._recent.append(frame)
        problems = []
        frames = list(self._recent)
        for window in self.windows:
            if window <= len(frames):
                problems += self._score(window, frames[-window:])
        return problems

    def merge(self, other: "TubeQuality") -> None:
        """Add what another of the same windows has counted in other clips."""
        for window, counts in other._counts.items():
            self._counts[window].merge(counts)
            self._seen[window] += other._seen[window]

    def result(self, window: int) -> PanopticQualityResult | None:
        """The quality of windows of that length; None where no clip was long enough."""
        if not self._seen[window]:
            return None
        return self._counts[window].quality(self.categories, self._seen[window])

    def _score(self, window: int, frames: Sequence[FramePair]) -> list[str]:
        truth = _tubes([frame.truth for frame in frames])
        prediction = _tubes([frame.prediction for frame in frames])
        overlaps = _sum(frames)
        matches = match_segments(overlaps, truth, prediction, exact=self.exact)
        broken = ~((matches.ious > 0) & (matches.ious <= _LARGEST_IOU))
        self._seen[window] += 1
        if broken.any():
            return [
                f"segment {id}: its area in the JSON is smaller than what is predicted right of it"
                for id in truth.ids[matches.truth_rows[broken]].tolist()
            ]
        missed = truth.categories[matches.missed]
        self._counts[window].add(
            truth.categories[matches.truth_rows],
            matches.ious,
            missed[missed >= 0],
            prediction.categories[matches.false],
        )
        return []


def _tubes(tables: Sequence[SegmentTable]) -> SegmentTable:
    """One row a tube, in the order of first appearance; areas are summed over the frames."""
    if len(tables) == 1:
        return tables[0]
    ids = np.concatenate([table.ids for table in tables])
    unique, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    areas = np.bincount(
        inverse, weights=np.concatenate([table.areas for table in tables]), minlength=len(unique)
    )
    order = np.argsort(first)
    rows = first[order]
    return SegmentTable(
        ids=unique[order],
        categories=np.concatenate([table.categories for table in tables])[rows],
        crowd=np.concatenate([table.crowd for table in tables])[rows],
        areas=areas[order],
    )


def _sum(frames: Sequence[FramePair]) -> Overlaps:
    """The intersections of the tubes: those of the frames, added."""
    codes = np.concatenate([frame.truth_ids * ID_LIMIT + frame.prediction_ids for frame in frames])
    codes, inverse = np.unique(codes, return_inverse=True)
    pixels = np.bincount(
        inverse, weights=np.concatenate([frame.pixels for frame in frames]), minlength=len(codes)
    ).astype(np.int64)
    truth_ids, truth_index = np.unique(codes // ID_LIMIT, return_inverse=True)
    prediction_ids, prediction_index = np.unique(codes % ID_LIMIT, return_inverse=True)
    return Overlaps(
        truth_ids=truth_ids,
        truth_areas=np.bincount(truth_index, weights=pixels, minlength=len(truth_ids)).astype(np.int64),
        prediction_ids=prediction_ids,
        prediction_areas=np.bincount(prediction_index, weights=pixels, minlength=len(prediction_ids)).astype(
            np.int64
        ),
        truth_index=truth_index,
        prediction_index=prediction_index,
        pixels=pixels,
    )

"""STQ, segmentation and tracking quality, and switches of identity.

Weber et al., STEP: Segmenting and Tracking Every Pixel (NeurIPS 2021), with the rules of its reference in
deeplab2: STQ = sqrt(AQ * SQ), of pixels, not of segments.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pansight.categories import Categories
from pansight.metrics.matching import rows_of
from pansight.metrics.video_frames import FramePair
from pansight.panoptic.ids import ID_LIMIT

_PENDING = 1 << 16
"""Intersections kept apart before they are summed, so that memory does not grow with a stream's length."""


@dataclass(frozen=True, slots=True)
class TrackingScore:
    """STQ, AQ and IoU (SQ), fractions of 1, of one clip or of all; None where there is no value.

    `tubes`: true objects. `switches`: how often the predicted id of a true object changed.
    """

    stq: float | None
    aq: float | None
    iou: float | None
    tubes: int
    switches: int
    frames: int


class TrackingQuality:
    """Accumulates pixels frame by frame; memory does not depend on the length of a clip.

    A true tube is all of one object (category and id) in a clip; what is predicted of things counts wherever
    it lies, but for crowds. Modes:

    - default: void is not a category, so pixels predicted void are misses, nothing else; AQ and STQ have no
      value where there are no true objects.
    - `exact`: the reference to the letter: void predicted where the truth has a category adds a category of
      IoU 0; without true objects AQ and STQ are 0.

    `numbered_by_rank` (exact mode): as VIPSeg's script counts: instances are numbered from 0 as the frames
    list them, stuff included, crowds are not known, and as instance 0 means crowd, the first listed segment
    drops out of AQ if it is a thing; of an id listed twice the last entry stands.
    """

    def __init__(
        self, categories: Categories, exact: bool = False, *, numbered_by_rank: bool = False
    ) -> None:
        self.categories = categories
        self.exact = exact
        self._by_rank = numbered_by_rank
        self.clips: dict[str, TrackingScore] = {}
        self._association, self._tubes, self._switches, self._frames = 0.0, 0, 0, 0
        size = len(categories) + 1  # the last one is void
        self._confusion = np.zeros((size, size), np.int64)
        self._clip: _Clip | None = None

    def start_clip(self, name: str) -> None:
        """The next frame is the first of this clip; the one before is finished."""
        self.end_clip()
        self._clip = _Clip(name, len(self.categories))

    def update(self, frame: FramePair) -> None:
        """Count one frame of the clip."""
        clip = self._clip
        assert clip is not None, "start_clip first"
        void, things = len(self.categories), np.append(self.categories.is_thing, False)
        truth, prediction = frame.truth, frame.prediction
        categories, found_categories = truth.categories, prediction.categories
        if self._by_rank:
            categories, found_categories = frame.last_true, frame.last_predicted
        true = np.append(categories, void)[rows_of(truth.ids, frame.truth_ids)]
        true[true < 0] = void
        crowd = np.append(truth.crowd, False)[rows_of(truth.ids, frame.truth_ids)]
        if self._by_rank:
            clip.first = int(truth.ids[0]) if clip.first is None and len(truth.ids) else clip.first
            crowd = frame.truth_ids == (-1 if clip.first is None else clip.first)
        found = np.append(found_categories, void)[rows_of(prediction.ids, frame.prediction_ids)]
        np.add.at(clip.confusion, (true, found), frame.pixels)
        on_crowd = things[true] & crowd
        true_tube = np.where(things[true] & ~crowd, true * ID_LIMIT + frame.truth_ids, -1)
        found_tube = np.where(things[found] & ~on_crowd, found * ID_LIMIT + frame.prediction_ids, -1)
        clip.add(true_tube, found_tube, frame.pixels)

    def end_clip(self) -> None:
        """Finish the clip, if there is one; `compute` does so by itself."""
        clip, self._clip = self._clip, None
        if clip is None or not clip.frames:
            return
        association, tubes = clip.association()
        self.clips[clip.name] = self._score(
            association, tubes, clip.confusion, len(clip.switches), clip.frames
        )
        self._association += association
        self._tubes += tubes
        self._switches += len(clip.switches)
        self._frames += clip.frames
        self._confusion += clip.confusion

    def merge(self, other: "TrackingQuality") -> None:
        """Add what another has counted of other clips; both are finished first."""
        self.end_clip()
        other.end_clip()
        self.clips.update(other.clips)
        self._association += other._association
        self._tubes += other._tubes
        self._switches += other._switches
        self._frames += other._frames
        self._confusion += other._confusion

    def compute(self) -> TrackingScore:
        """The score over all clips: AQ pooled over their tubes, IoU of one confusion matrix."""
        self.end_clip()
        return self._score(self._association, self._tubes, self._confusion, self._switches, self._frames)

    def _score(
        self,
        association: float,
        tubes: int,
        confusion: Int64[np.ndarray, "c c"],
        switches: int,
        frames: int,
    ) -> TrackingScore:
        labelled = confusion[:-1]  # pixels whose truth is void are left out
        hits = np.append(np.diag(labelled), 0)
        unions = np.append(labelled.sum(1), 0) + labelled.sum(0) - hits
        if not self.exact:
            hits, unions = hits[:-1], unions[:-1]
        counted = unions > 0
        iou = float((hits[counted] / unions[counted]).mean()) if counted.any() else None
        aq = association / tubes if tubes else (0.0 if self.exact else None)
        stq = None if aq is None or iou is None else float(np.sqrt(aq * iou))
        return TrackingScore(stq, aq, iou, tubes, switches, frames)


class _Clip:
    """What was counted in one clip; a tube is category * 2**24 + id, -1 where there is none."""

    def __init__(self, name: str, categories: int) -> None:
        self.name = name
        self.frames = 0
        self.first: int | None = None
        self.confusion = np.zeros((categories + 1, categories + 1), np.int64)
        self.switches: list[int] = []
        self._last: dict[int, int] = {}
        empty = np.zeros(0, np.int64)
        self._pending: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = [(empty, empty, empty)]
        self._held = 0

    def add(
        self,
        truth: Int64[np.ndarray, "k"],
        found: Int64[np.ndarray, "k"],
        pixels: Int64[np.ndarray, "k"],
    ) -> None:
        self.frames += 1
        self._note_switches(truth, found, pixels)
        self._pending.append((truth, found, pixels))
        self._held += len(pixels)
        if self._held > _PENDING:
            self._sum()

    def association(self) -> tuple[float, int]:
        """The sum over true tubes of sum(TPA * IoU) / size, and how many they are."""
        truth, found, pixels = self._sum()
        tubes, row = np.unique(truth, return_inverse=True)
        sizes = np.bincount(row, weights=pixels, minlength=len(tubes))
        others, column = np.unique(found, return_inverse=True)
        areas = np.bincount(column, weights=pixels, minlength=len(others))
        both = (truth >= 0) & (found >= 0)
        row, column, shared = row[both], column[both], pixels[both].astype(np.float64)
        ious = shared / (sizes[row] + areas[column] - shared)
        sums = np.bincount(row, weights=shared * ious, minlength=len(tubes))
        real = tubes >= 0
        return float((sums[real] / sizes[real]).sum()), int(real.sum())

    def _sum(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pending intersections as one list, each pair of tubes once."""
        truth, found, pixels = (np.concatenate(parts) for parts in zip(*self._pending, strict=True))
        pairs, inverse = np.unique(np.stack((truth, found)), axis=1, return_inverse=True)
        sums = np.bincount(inverse.reshape(-1), weights=pixels, minlength=pairs.shape[1])
        total = (pairs[0], pairs[1], sums.astype(np.int64))
        self._pending, self._held = [total], 0
        return total

    def _note_switches(
        self,
        truth: Int64[np.ndarray, "k"],
        found: Int64[np.ndarray, "k"],
        pixels: Int64[np.ndarray, "k"],
    ) -> None:
        """A true object is held by the prediction that has an IoU above 0.5 with it in the frame."""
        tubes, row = np.unique(truth, return_inverse=True)
        others, column = np.unique(found, return_inverse=True)
        union = (
            np.bincount(row, weights=pixels, minlength=len(tubes))[row]
            + np.bincount(column, weights=pixels, minlength=len(others))[column]
            - pixels
        )
        held = (2 * pixels > union) & (truth >= 0) & (found >= 0) & (truth // ID_LIMIT == found // ID_LIMIT)
        for tube, holder in zip(truth[held].tolist(), found[held].tolist(), strict=True):
            if self._last.setdefault(tube, holder) != holder:
                self.switches.append(tube)
                self._last[tube] = holder

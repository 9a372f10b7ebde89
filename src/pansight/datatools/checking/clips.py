"""The doctor for videos: ids that jump, change their meaning or repeat, frames out of order."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from pansight.data.videos import VideoDataset
from pansight.datatools.checking import kinds
from pansight.datatools.checking.findings import Notes, Report
from pansight.errors import DataError, InputError
from pansight.metrics.overlaps import count_overlaps
from pansight.panoptic import PanopticMap

_SAME_PLACE = 0.7
"""IoU from which an object and one of the frame before, of its category, are taken for the same."""


def check_clips(
    source: VideoDataset, location: str, *, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Check for problems that only videos have; `check_samples` checks single frames.

    An id jumps where an object that was not there before lies where another of its category lay, whose id is
    gone: labelled video does not do that, except where one object takes exactly the place of another.
    """
    report = Report(location)
    done = 0
    for clip, positions in source.clips.items():
        notes = Notes(f"{location}: {clip}" if clip else location)
        _check_order(_listed(source, clip, positions), notes)
        category: dict[int, int] = {}
        stuff: dict[int, set[int]] = {}
        before: PanopticMap | None = None
        for position in positions:
            done += 1
            try:
                truth = source.truth(position)
            except (DataError, InputError):
                before = None  # told already
                continue
            name = str(source.image_ids[position]).rpartition("/")[2]
            for segment in truth.segments:
                known = category.setdefault(segment.id, segment.category)
                if known != segment.category:
                    names = source.categories.names
                    notes.add(
                        kinds.ID_CHANGES_CLASS,
                        f"id {segment.id} was {names[known]}, is {names[segment.category]} in {name}",
                    )
                    category[segment.id] = segment.category
                if not source.categories[segment.category].is_thing:
                    stuff.setdefault(segment.category, set()).add(segment.id)
            if before is not None:
                if before.ids.shape != truth.ids.shape:
                    notes.add(
                        kinds.VIDEO_SIZES,
                        f"{name} is {truth.width} x {truth.height}, before {before.width} x {before.height}",
                    )
                else:
                    for old, new in _jumps(before, truth):
                        notes.add(kinds.ID_JUMPS, f"{old} becomes {new} in {name}")
            before = truth
            if progress is not None:
                progress(done, len(source))
        for kind, ids in stuff.items():
            if len(ids) > 1:
                notes.add(
                    kinds.STUFF_IDS,
                    f"{source.categories[kind].name} has {', '.join(map(str, sorted(ids)[:5]))}",
                )
        report.add(notes.findings())
    return report


def _listed(source: VideoDataset, clip: str, positions: range) -> Sequence[str]:
    listed = getattr(source, "listed", None)
    if listed is not None:
        return list(listed.get(clip, ()))
    return [str(source.image_ids[position]) for position in positions]


def _check_order(frames: Sequence[str], notes: Notes) -> None:
    """Numbers at the end of names must rise; names without numbers say nothing."""
    numbers = [re.findall(r"\d+", frame) for frame in frames]
    if not all(numbers):
        return
    values = [int(found[-1]) for found in numbers]
    for before, after, frame in zip(values, values[1:], frames[1:], strict=False):
        if after < before:
            notes.add(kinds.FRAMES_UNORDERED, f"{frame} comes after number {before}")
    for value, count in Counter(values).items():
        if count > 1:
            notes.add(kinds.FRAMES_UNORDERED, f"number {value} is there {count} times")


def _jumps(before: PanopticMap, after: PanopticMap) -> list[tuple[int, int]]:
    """Pairs of ids: things of one category and place, the first gone, the second new."""
    old = {one.id: one for one in before.things() if not one.is_crowd}
    new = {one.id: one for one in after.things() if not one.is_crowd}
    gone, fresh = (
        old.keys() - {one.id for one in after.segments},
        new.keys() - {one.id for one in before.segments},
    )
    if not gone or not fresh:
        return []
    overlaps = count_overlaps(before.ids, after.ids)
    found = []
    for t, p, pixels in zip(
        overlaps.truth_index.tolist(),
        overlaps.prediction_index.tolist(),
        overlaps.pixels.tolist(),
        strict=True,
    ):
        first, second = int(overlaps.truth_ids[t]), int(overlaps.prediction_ids[p])
        if first in gone and second in fresh and old[first].category == new[second].category:
            union = int(overlaps.truth_areas[t] + overlaps.prediction_areas[p]) - pixels
            if pixels >= _SAME_PLACE * union:
                found.append((first, second))
    return found

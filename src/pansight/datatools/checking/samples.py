"""The doctor for raw layouts (Cityscapes, ADE20K, Mapillary Vistas): what readers give for their samples."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import NamedTuple

from pansight.data.dataset import PanopticDataset
from pansight.datatools.checking import kinds
from pansight.datatools.checking.confusion import check_places
from pansight.datatools.checking.findings import Finding, Notes, Report, SelfScore
from pansight.datatools.checking.photos import digest
from pansight.datatools.checking.tables import Classes, check_table
from pansight.datatools.checking.tally import Seen, Tally, why_nothing_counts
from pansight.datatools.preparing.workers import run_over
from pansight.errors import DataError, InputError
from pansight.metrics import PanopticQuality


class _Looked(NamedTuple):
    """What one sample showed; `truth` is its score against itself, None where there is none."""

    findings: list[Finding]
    seen: list[Seen]
    digest: bytes
    truth: PanopticQuality | None


def check_samples(
    source: PanopticDataset,
    location: str,
    *,
    pictures: bool = True,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check a data set through its reader: every sample is read, counted, and scored against itself.

    `pictures`: whether the images are decoded, too. `progress` is called with (samples done, samples in
    all). What a reader computes by itself (areas, boxes) cannot be wrong and is not checked.
    """
    report = Report(location, images=len(source))
    notes = Notes(location)
    categories = source.categories
    classes = Classes(
        dict(enumerate(categories.names)), dict(enumerate(categories.is_thing.tolist())), declared=True
    )
    check_table(classes, notes)
    for kind, keys in ((kinds.IMAGE_REPEATED, source.image_ids), (kinds.FILE_REPEATED, source.names)):
        seen: set[int | str] = set()
        for key in keys:
            if key in seen:
                notes.add(kind, f"{key!r}")
            seen.add(key)
    if not len(source):
        notes.add(kinds.JSON_BROKEN, "no samples in it")
    tally = Tally(location, location, classes)
    quality = PanopticQuality(categories)
    refused = 0
    task = partial(_look, source, pictures)
    with closing(run_over(task, len(source), workers)) as results:
        for done, looked in enumerate(results, start=1):
            name = str(source.names[done - 1])
            report.add(looked.findings)
            report.segments += len(looked.seen)
            tally.add(looked.seen)
            if looked.truth is None:
                refused += 1
            else:
                quality.merge(looked.truth)
            twin = tally.add_picture(looked.digest, name) if looked.digest else None
            if twin is not None:
                again = Notes(name)
                again.add(kinds.PICTURE_REPEATED, f"is identical to {twin}")
                report.add(again.findings())
            if progress is not None:
                progress(done, len(source))
    tally.check(notes)
    check_places(classes, tally.heights(), notes)
    result = quality.compute().all if quality.counted else None
    pq = None if result is None else result.pq
    score = SelfScore(location, pq, quality.images, refused, pq, refused)
    report.scores.append(score)
    if refused or pq not in (None, 1.0):
        shown = "nothing to score" if pq is None else f"PQ {100 * pq:.2f}"
        notes.add(kinds.SELF_SCORE, f"{shown}, {refused} samples refused")
    if pq is None and len(source):
        notes.add(kinds.NOTHING_COUNTS, why_nothing_counts(tally))
    for id, count in tally.segments.items():
        if count == tally.crowds[id] and not classes.is_stuff(id):
            notes.add(kinds.CROWDS_ONLY, f"{classes.name(id)!r}: {count} crowds, no single object")
    report.add(notes.findings())
    return report


def _look(source: PanopticDataset, pictures: bool, index: int) -> _Looked:
    notes = Notes(source.names[index])
    mark = b""
    try:
        if pictures:
            sample = source[index]
            truth, mark = sample.panoptic, digest(sample.image)
        else:
            truth = source.truth(index)
    except (DataError, InputError) as error:
        notes.add(kinds.SAMPLE_BROKEN, str(error))
        try:
            truth = source.truth(index)
        except (DataError, InputError):
            return _Looked(notes.findings(), [], b"", None)
    if not truth.segments:
        notes.add(kinds.IMAGE_EMPTY, "all pixels are void")
    quality = PanopticQuality(source.categories)
    quality.update(truth, truth)
    seen = [
        Seen(one.category, one.is_crowd, one.area, (one.box[1] + one.box[3] / 2) / truth.height, 0)
        for one in truth.segments
    ]
    return _Looked(notes.findings(), seen, mark, quality)

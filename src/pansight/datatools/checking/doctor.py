"""The doctor of panoptic data: checks every file of its sets, and fixes what is safe to fix.

It reads the files themselves, not through a reader: a reader must reject broken data, this must name it.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pansight.categories import Categories
from pansight.datatools.checking import kinds
from pansight.datatools.checking.confusion import (
    check_places,
    check_street_ids,
    check_table_ids,
    check_used_ids,
)
from pansight.datatools.checking.document import Labelled, read_document
from pansight.datatools.checking.examination import Examined, PanopticSet, examine
from pansight.datatools.checking.findings import Notes, Report, SelfScore
from pansight.datatools.checking.limits import drops_too_much, joins_too_much, keep_apart, note_losses
from pansight.datatools.checking.locate import PanopticFiles, find_labels, find_pictures
from pansight.datatools.checking.numbers import whole
from pansight.datatools.checking.orphans import find_orphans
from pansight.datatools.checking.output import fixed_places
from pansight.datatools.checking.scoring import OwnScore, scoring_categories
from pansight.datatools.checking.tables import check_table, doubted_flags, read_classes
from pansight.datatools.checking.tally import Tally, compare_splits, why_nothing_counts
from pansight.datatools.preparing.workers import run_over

_AT_ONCE = 16
"""Most images that a worker looks at before it reports."""


def check_files(
    sets: Sequence[PanopticFiles],
    *,
    location: str | os.PathLike[str] = "",
    categories: Categories | None = None,
    pictures: bool = True,
    fix: Path | None = None,
    in_place: bool = False,
    force: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check panoptic sets (several: the splits of one data set), and fix them if told where to.

    `categories`: for a JSON that has none. `pictures`: whether the images are checked, too; they are
    decoded completely. `fix`: the folder to write fixed copies of the JSON and the panoptic PNGs to;
    `in_place`: write them over the originals. A set of which fixing would drop or make void too much is left
    as it is, and segments are not joined where that would join too many, or the table is doubted (`limits`),
    unless `force` says so. `progress` is called with (images done, images in all). In memory are the
    JSON files, what was found, and 16 bytes per image.

    Raises InputError when the fixed files cannot be written; then none are.
    """
    report = Report(str(location or (sets[0].json if sets else "")))
    opened = [_open(files, categories, pictures, force, report) for files in sets]
    subjects = [(files, subject) for files, subject in zip(sets, opened, strict=True) if subject is not None]
    homes = [(files.json, subject.labels_at) for files, subject in subjects]
    with fixed_places(homes, fix, in_place) as places:
        for number, (_, subject) in enumerate(subjects):
            subject.places = places[number] if places is not None else None
        tallies = _examine_all(subjects, report, workers, force, progress)
        if places is not None and any(place.wanted for place in places):
            report.fixed = str(fix if fix is not None else homes[0][0].parent if homes else "")
    for family in dict.fromkeys(files.family for files, _ in subjects):
        members = [
            tally for (files, _), tally in zip(subjects, tallies, strict=True) if files.family == family
        ]
        for notes in compare_splits(members):
            report.add(notes.findings())
    for notes in find_orphans(subjects):
        report.add(notes.findings())
    return report


def _open(
    files: PanopticFiles, categories: Categories | None, pictures: bool, force: bool, report: Report
) -> PanopticSet | None:
    """Read the JSON of a set and find its folders; None when there is nothing to go on with."""
    notes = Notes(files.json)
    document = read_document(files.json, notes)
    if document is None:
        report.add(notes.findings())
        return None
    classes = read_classes(document.content.get("categories"), notes, categories)
    check_table(classes, notes)
    check_table_ids(classes, notes)
    labels_at, labels = find_labels(
        files, [annotation.file_name for annotation in document.annotations], notes
    )
    folder = find_pictures(files, document, labels_at, notes) if pictures else None
    if pictures and folder is None:
        notes.add(kinds.PICTURES_UNSEEN, "no folder near it holds the images")
    crowds, singles = _listed_categories(document.annotations)
    only_crowds = {id: count for id, count in crowds.items() if not singles[id] and not classes.is_stuff(id)}
    for id, count in only_crowds.items():
        notes.add(kinds.CROWDS_ONLY, f"{classes.name(id)!r}: {count} crowds, no single object")
    if not force:
        doubted = doubted_flags(classes) if classes.has_things else classes.names
        classes.apart_stuff, classes.apart_crowds = frozenset(doubted), frozenset(only_crowds)
    report.add(notes.findings())
    report.images += len(document.annotations)
    report.segments += sum(len(annotation.segments) for annotation in document.annotations)
    used = {*crowds, *singles}
    named = Counter(annotation.file_name for annotation in document.annotations)
    return PanopticSet(
        document=document,
        labels_at=labels_at,
        labels=labels,
        pictures=folder,
        classes=classes,
        categories=scoring_categories(classes, sorted(used)),
        shared=frozenset(name for name, count in named.items() if count > 1),
    )


class _Gathered(NamedTuple):
    """The results for the images of one set."""

    tally: Tally
    images: Examined


def _listed_categories(annotations: Sequence[Labelled]) -> tuple[Counter[int], Counter[int]]:
    """How many crowds and how many other segments of each category the JSON lists."""
    crowds: Counter[int] = Counter()
    singles: Counter[int] = Counter()
    for annotation in annotations:
        for row in annotation.segments:
            if isinstance(row, dict) and (id := whole(row.get("category_id")).value) is not None:
                crowd = whole(row.get("iscrowd"), flag=True).value == 1
                (crowds if crowd else singles)[id] += 1
    return crowds, singles


def _examine_all(
    subjects: list[tuple[PanopticFiles, PanopticSet]],
    report: Report,
    workers: int,
    force: bool,
    progress: Callable[[int, int], None] | None,
) -> list[Tally]:
    """Examine the images of all sets; those whose fix would join too much a second time, without joining."""
    gathered = _run(subjects, workers, progress)
    for number, (_, subject) in enumerate(subjects):
        if not force and joins_too_much(gathered[number].images.losses):
            losses = gathered[number].images.losses
            subject.classes = keep_apart(subject.classes)
            if subject.places is not None:
                subject.places.clear()
            (gathered[number],) = _run([subjects[number]], workers, None)
            gathered[number].images.losses += losses._replace(
                segments=0, dropped=0, absent=0, pixels=0, voided=0, strange=0
            )
    for (_, subject), (tally, images) in zip(subjects, gathered, strict=True):
        held = not force and drops_too_much(images.losses)
        if held:
            images.hold()
            if subject.places is not None:
                subject.places.give_up()
        report.add(images.findings)
        report.rewritten += images.rewritten
        _conclude(subject, tally, images, held, not force and joins_too_much(images.losses), report)
    return [one.tally for one in gathered]


def _run(
    subjects: Sequence[tuple[PanopticFiles, PanopticSet]],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[_Gathered]:
    """Examine the images of sets, a few at a time, spread over the workers."""
    total = sum(len(subject.document.annotations) for _, subject in subjects)
    step = max(min(_AT_ONCE, total // (4 * max(workers, 1))), 1)
    jobs = [
        (number, start)
        for number, (_, subject) in enumerate(subjects)
        for start in range(0, len(subject.document.annotations), step)
    ]
    gathered = [
        _Gathered(
            Tally(str(files.json), files.split, subject.classes),
            Examined(OwnScore(subject.categories), OwnScore(subject.categories)),
        )
        for files, subject in subjects
    ]
    task = partial(_work, [subject for _, subject in subjects], jobs, step)
    done = 0
    with closing(run_over(task, len(jobs), workers)) as results:
        for (number, start), found in zip(jobs, results, strict=True):
            _gather(found, *gathered[number])
            done += len(_part(subjects[number][1], start, step))
            if progress is not None:
                progress(done, total)
    return gathered


def _work(subjects: list[PanopticSet], jobs: list[tuple[int, int]], step: int, index: int) -> Examined:
    number, start = jobs[index]
    return examine(subjects[number], _part(subjects[number], start, step))


def _part(subject: PanopticSet, start: int, step: int) -> list[Labelled]:
    return subject.document.annotations[start : start + step]


def _gather(found: Examined, tally: Tally, whole_set: Examined) -> None:
    whole_set.findings += found.findings
    whole_set.rewritten += found.rewritten
    whole_set.losses += found.losses
    for seen in found.seen:
        tally.add(seen)
    for photo in found.photos:
        twin = tally.add_picture(photo.digest, photo.file)
        if twin is not None:
            notes = Notes(photo.file)
            notes.add(kinds.PICTURE_REPEATED, f"is identical to {twin}")
            whole_set.findings += notes.findings()
    whole_set.score.merge(found.score)
    whole_set.fixed_score.merge(found.fixed_score)
    whole_set.segments |= found.segments
    whole_set.sizes |= found.sizes


def _conclude(
    subject: PanopticSet, tally: Tally, whole_set: Examined, held: bool, apart: bool, report: Report
) -> None:
    """What only the whole set shows, its score, and its fixed JSON."""
    notes = Notes(tally.file)
    tally.check(notes)
    check_used_ids(subject.classes, tally.segments, notes)
    check_street_ids(subject.classes, tally.labels, notes)
    check_places(subject.classes, tally.heights(), notes)
    note_losses(whole_set.losses, notes, held=held, apart=apart)
    after = whole_set.score if held else whole_set.fixed_score
    score = SelfScore(
        tally.file,
        whole_set.score.pq(),
        whole_set.score.images,
        whole_set.score.refused,
        after.pq(),
        after.refused,
    )
    report.scores.append(score)
    if not score.perfect and (score.pq is not None or score.refused):
        quality = "nothing to score" if score.pq is None else f"PQ {100 * score.pq:.2f}"
        refused = f", {score.refused} images refused" if score.refused else ""
        notes.add(kinds.SELF_SCORE, f"{quality}{refused}", fixable=score.perfect_once_fixed)
    crowds_alone = bool(tally.segments) and tally.crowds.total() == tally.segments.total()
    if subject.document.annotations and (score.fixed_pq is None or crowds_alone):
        notes.add(kinds.NOTHING_COUNTS, why_nothing_counts(tally))
    report.add(notes.findings())
    if subject.places is not None and not held:
        subject.places.write_json(subject.document, whole_set.segments, whole_set.sizes)

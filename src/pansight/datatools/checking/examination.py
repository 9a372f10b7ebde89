"""The examination of single images: everything that their own files say, and what fixing makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pansight.categories import Categories
from pansight.data.coco import find_id_picture, find_picture
from pansight.data.folders import Folder
from pansight.datatools.checking import kinds
from pansight.datatools.checking.confusion import label_of
from pansight.datatools.checking.document import Document, Labelled
from pansight.datatools.checking.findings import Finding, Notes
from pansight.datatools.checking.fixing import Losses, count_losses, fix_annotation
from pansight.datatools.checking.id_pictures import read_id_picture
from pansight.datatools.checking.output import Places
from pansight.datatools.checking.photos import check_photo
from pansight.datatools.checking.scoring import OwnScore
from pansight.datatools.checking.segments import Row, check_rows, read_rows
from pansight.datatools.checking.tables import Classes
from pansight.datatools.checking.tally import Seen
from pansight.panoptic.regions import Regions, measure_regions


@dataclass
class PanopticSet:
    """One set under examination: its JSON, its folders, and what its categories mean.

    `shared` are panoptic PNGs that several annotations name: what fixes one annotation would spoil the other.
    `pictures` is None when the images are not to be looked at, or were not found; `places` when nothing
    is to be fixed.
    """

    document: Document
    labels_at: Path
    labels: Folder | None
    pictures: Folder | None
    classes: Classes
    categories: Categories
    shared: frozenset[str] = frozenset()
    places: Places | None = None


class Photo(NamedTuple):
    """An image that could be read: its file and the digest of its pixels."""

    file: str
    digest: bytes


@dataclass
class Examined:
    """What a run of images showed; `segments` and `sizes` are what the fixed JSON says instead, by
    position."""

    score: OwnScore
    fixed_score: OwnScore
    findings: list[Finding] = field(default_factory=list)
    seen: list[list[Seen]] = field(default_factory=list)
    photos: list[Photo] = field(default_factory=list)
    segments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    rewritten: int = 0
    losses: Losses = field(default_factory=Losses)

    def hold(self) -> None:
        """Do not fix any of it after all."""
        self.findings = [finding._replace(fixable=False) for finding in self.findings]
        self.rewritten = 0


def examine(subject: PanopticSet, annotations: Sequence[Labelled]) -> Examined:
    """Look at some images of a set, and fix them if the set has places for that."""
    result = Examined(OwnScore(subject.categories), OwnScore(subject.categories))
    for annotation in annotations:
        _examine_one(subject, annotation, result)
    return result


def _examine_one(subject: PanopticSet, annotation: Labelled, result: Examined) -> None:
    source = find_id_picture(subject.labels, annotation.file_name) if subject.labels is not None else None
    notes = Notes(subject.labels_at / annotation.file_name)
    rows = read_rows(annotation.segments, subject.classes, notes)
    picture = read_id_picture(source, {row.id for row in rows if row.id is not None}, notes)
    ids = picture.ids if picture is not None else None
    regions = measure_regions(ids) if ids is not None else None
    void = 0 if ids is None or regions is None else int(ids.size - regions.areas.sum())
    check_rows(rows, subject.classes, regions, void, notes)
    if not rows:
        notes.add(kinds.IMAGE_EMPTY, "no segments are listed")
    elif regions is not None and not len(regions.ids):
        notes.add(kinds.IMAGE_EMPTY, "all pixels are void")
    size = (ids.shape[1], ids.shape[0]) if ids is not None else None
    shown = _examine_photo(subject, annotation, size, result)
    _check_size(subject, annotation, size, shown, notes, result)
    if regions is not None and ids is not None:
        result.seen.append(_seen(rows, regions, ids.shape[0]))
    result.score.add(ids, annotation.segments)
    findings = notes.findings()
    if annotation.file_name in subject.shared:
        findings = [finding._replace(fixable=False) for finding in findings]
    result.findings += findings
    fixable = ids is not None and any(finding.fixable for finding in findings)
    if not fixable or ids is None:
        result.fixed_score.add(ids, annotation.segments)
        result.losses += Losses(segments=len(rows), pixels=0 if ids is None else int(np.count_nonzero(ids)))
        if subject.places is not None and source is not None:
            subject.places.copy_labels(annotation.file_name, source)
        return
    fixed, fresh = fix_annotation(rows, ids, subject.classes)
    result.losses += count_losses(rows, ids, fixed, fresh, subject.classes)
    result.fixed_score.add(fresh, fixed)
    if subject.places is None:
        return
    result.segments[annotation.position] = fixed
    if fresh is not ids or (picture is not None and picture.rewrite):
        subject.places.write_labels(annotation.file_name, fresh)
        result.rewritten += 1
    elif source is not None:
        subject.places.copy_labels(annotation.file_name, source)


def _examine_photo(
    subject: PanopticSet, annotation: Labelled, labels: tuple[int, int] | None, result: Examined
) -> tuple[int, int] | None:
    """Check the image that belongs to the labels; its width and height, if there is one."""
    if subject.pictures is None:
        return None
    name = subject.document.picture_name(annotation)
    found = find_picture(subject.pictures, name)
    notes = Notes(str(found) if found is not None else f"{subject.pictures}/{name}")
    size, mark = None, b""
    if found is None:
        notes.add(kinds.PICTURE_MISSING, "no such file")
    else:
        size, mark = check_photo(found, labels, notes)
    result.findings += notes.findings()
    if mark:
        result.photos.append(Photo(notes.file, mark))
    return size


def _check_size(
    subject: PanopticSet,
    annotation: Labelled,
    size: tuple[int, int] | None,
    shown: tuple[int, int] | None,
    notes: Notes,
    result: Examined,
) -> None:
    """Compare the listed size with the size of the labels; the image decides which is right."""
    listed = (subject.document.images or {}).get(annotation.image_id)
    if listed is None or size is None or listed.width is None or listed.height is None:
        return
    if (listed.width, listed.height) != size:
        notes.add(
            kinds.LABELS_SIZE,
            f"the panoptic PNG is {size[0]} x {size[1]} pixels, "
            f"the JSON says {listed.width} x {listed.height}",
            fixable=shown == size,
        )
    # What is written as "640" passes here, and is written as 640.
    if shown in (None, size) and (shown == size or (listed.width, listed.height) == size):
        result.sizes[listed.position] = size


def _seen(rows: list[Row], regions: Regions, height: int) -> list[Seen]:
    """What counts of one image: segments that can be used, once each."""
    at = {id: position for position, id in enumerate(regions.ids.tolist())}
    middles = (regions.boxes[:, 1] + regions.boxes[:, 3] / 2) / height
    seen: dict[int, Seen] = {}
    for row in rows:
        if row.category is None or row.id is None or row.id not in at:
            continue
        position = at[row.id]
        seen[row.id] = Seen(
            row.category,
            row.crowd,
            int(regions.areas[position]),
            float(middles[position]),
            label_of(row.id),
        )
    return list(seen.values())

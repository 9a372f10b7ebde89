"""Files in the folders of a set that nothing names."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pansight.data.coco import find_picture
from pansight.datatools.checking import kinds
from pansight.datatools.checking.examination import PanopticSet
from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.kinds import Kind
from pansight.datatools.checking.locate import PanopticFiles, find_panoptic_files


def find_orphans(subjects: Sequence[tuple[PanopticFiles, PanopticSet]]) -> Iterator[Notes]:
    """Images and panoptic PNGs that no checked set names, in folders that belong to checked sets alone.

    Only folders on disk are searched, and only files with the endings of those that are named.
    """
    checked = {files.json.resolve() for files, _ in subjects}
    named: dict[Path, set[str]] = {}
    owners: dict[Path, tuple[Kind, bool]] = {}
    for files, subject in subjects:
        # A folder may be shared with the set of a JSON that is not looked at now.
        alone = all(
            other.json.resolve() in checked or other.split == files.split
            for other in find_panoptic_files(files.json.parent)
        )
        for kind, path in _files(subject):
            named.setdefault(path.parent, set()).add(path.name)
            own = files.split in path.parent.name.lower() or files.json.stem == path.parent.name
            owners.setdefault(path.parent, (kind, alone or own))
    for folder, (kind, belongs) in owners.items():
        if not belongs or not os.path.isdir(folder):  # noqa: PTH112  (no error for names that are too long)
            continue
        endings = {Path(name).suffix for name in named[folder]}
        for path in sorted(folder.iterdir()):
            if path.suffix in endings and path.name not in named[folder] and not path.name.startswith("."):
                notes = Notes(path)
                notes.add(kind, "no annotation belongs to it")
                yield notes


def _files(subject: PanopticSet) -> Iterator[tuple[Kind, Path]]:
    """The panoptic PNGs and images that the annotations name; of images those that exist."""
    for annotation in subject.document.annotations:
        yield kinds.LABELS_ORPHAN, subject.labels_at / annotation.file_name
        if subject.pictures is not None:
            found = find_picture(subject.pictures, subject.document.picture_name(annotation))
            if isinstance(found, Path):
                yield kinds.PICTURE_UNLABELLED, found

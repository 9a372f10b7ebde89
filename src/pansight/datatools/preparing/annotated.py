"""The files of annotation tools as panoptic truth, and panoptic truth as the files of annotation tools."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pansight.categories import Categories
from pansight.datatools.preparing.classes import load_categories, named_categories
from pansight.datatools.preparing.lost_objects import Counts, Taken
from pansight.datatools.preparing.plan import TruthSource, png_names
from pansight.datatools.preparing.writing import (
    Conversion,
    Outcome,
    is_hopeless,
    keep_sources,
    take_truth,
)
from pansight.errors import InputError
from pansight.files import make_folder
from pansight.formats.annotation.door import (
    CLASSES_FILE,
    AnnotationReader,
    AnnotationWriter,
    ClassRow,
    Picture,
)
from pansight.formats.annotation.objects import VOID_LABELS, painted
from pansight.panoptic import PanopticMap


class AnnotatedSource:
    """What a reader of a tool's files gives, drawn in the order of the tool; see `TruthSource`.

    `remarks`: what a user should hear about it.
    """

    def __init__(self, reader: AnnotationReader, categories: Categories, remarks: Sequence[str] = ()) -> None:
        self.remarks = remarks
        self.reader = reader
        self.categories = categories
        self.names = reader.names
        self.image_ids = reader.image_ids

    @property
    def reads(self) -> tuple[Path, ...]:
        """The files and folders that are read: nothing may be written there."""
        return self.reader.reads

    @property
    def pictures_elsewhere(self) -> Path | None:
        """The folder of the images, where they do not lie with the labels."""
        return getattr(self.reader, "pictures_elsewhere", None)

    def __len__(self) -> int:
        return len(self.names)

    def truth(self, index: int) -> PanopticMap:
        """Draw image `index`. Raises DataError, naming file and object, when it is broken."""
        return self.take(index).truth

    def take(self, index: int) -> Taken:
        """Draw image `index`, and say what was lost of its objects. Raises DataError as `truth`."""
        return Taken(*painted(self.reader.read(index), self.categories))


def spoken_categories(
    reader: AnnotationReader,
    things: Sequence[str] | None,
    stuff: Sequence[str] | None,
    given: str | None,
    order: Sequence[str] | None = None,
) -> Categories:
    """The classes that a tool's files are read in.

    They are `given` (a JSON or the name of a built-in set); else the names in `things` and `stuff`, one of
    which may be left out; else from the files, or the classes.json next to them. `order` lists all
    classes, where the files do not. Raises InputError when nothing says which classes are things.
    """
    if given is not None:
        return load_categories(given)
    if things is not None and stuff is not None:
        return named_categories(things, stuff, ())
    rows = [ClassRow(name) for name in order] if order is not None else list(reader.classes)
    rows = [row for row in rows if row.name not in VOID_LABELS]
    names = [row.name for row in rows]
    if things is None and stuff is None:
        for file in _beside(reader.where):
            own = load_categories(file)
            if set(names) <= set(own.names):
                return own
    # A name that occurs nowhere is a class, too.
    rows += [ClassRow(name) for name in (*(things or ()), *(stuff or ())) if name not in names]
    if rows and things is None and stuff is None and all(row.is_thing is not None for row in rows):
        countable = {row.name for row in rows if row.is_thing}
    else:
        named = named_categories(things, stuff, [row.name for row in rows])
        if all(row.id is None and row.color is None for row in rows):
            return named
        countable = {item.name for item in named if item.is_thing}
    ids = [row.id for row in rows]
    own_ids = None not in ids and len(set(ids)) == len(ids)
    content = [
        {
            "id": row.id if own_ids else position,
            "name": row.name,
            "isthing": int(row.name in countable),
            **({} if row.color is None else {"color": list(row.color)}),
        }
        for position, row in enumerate(rows, start=1)
    ]
    return Categories.from_json(content, name=reader.where.stem)


def _beside(where: Path) -> list[Path]:
    """The classes.json that a writer left with these files."""
    folders = [where] if where.is_dir() else [where.parent, where.parent.parent]
    return [folder / CLASSES_FILE for folder in folders if (folder / CLASSES_FILE).is_file()]


class ToolExport(Conversion):
    """Writes every sample of a source in the format of an annotation tool."""

    def __init__(self, source: TruthSource, writer: AnnotationWriter, workers: int = 1) -> None:
        """Raises InputError when the folder cannot be made, or is one that is read."""
        keep_sources(source, writer.folder, *writer.targets)
        names, ids = tuple(source.names), tuple(source.image_ids)
        stems = (str(PurePosixPath(name).with_suffix("")) for name in png_names(names))
        pictures = tuple(Picture(*row) for row in zip(ids, names, stems, strict=True))
        writer.plan(pictures)
        super().__init__(_Task(source, writer, pictures), len(names), workers)
        self._writer = writer
        make_folder(writer.folder)

    def save(self) -> Path:
        return self._writer.save(self.rows)

    def when_stopped(self) -> str:
        return f"{self.written} images are in {self._writer.folder}; the same command rewrites them all"


@dataclass(frozen=True)
class _Task:
    source: TruthSource
    writer: AnnotationWriter
    pictures: tuple[Picture, ...]

    def __call__(self, index: int) -> Outcome:
        picture = self.pictures[index]
        taken = take_truth(self.source, index, picture.name)
        if isinstance(taken, Outcome):
            return taken
        truth = taken.truth
        if truth.categories is not self.writer.categories:
            truth = replace(truth, categories=self.writer.categories)
        try:
            written = self.writer.write(picture, truth)
        except InputError as error:
            return Outcome(picture.name, problem=str(error), fatal=is_hopeless(error))
        lost = (*taken.lost, *(one._replace(name=f"{picture.name}, {one.name}") for one in written.lost))
        counts = Counts(taken.objects, taken.crowds, len(truth.segments), lost)
        return Outcome(picture.name, written.row, counts=counts)

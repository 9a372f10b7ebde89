"""Maps as files: images to look at, and the COCO panoptic format for further use."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pansight.categories import Categories
from pansight.drawing.overlays import overlay
from pansight.errors import InputError, PansightError
from pansight.files import atomic_write
from pansight.files import make_folder as make_folder
from pansight.panoptic import PanopticMap
from pansight.runtime.inputs import image_ids, output_names, printable, relative_names
from pansight.version import __version__

if TYPE_CHECKING:
    from pansight.formats.annotation.door import AnnotationWriter, Picture

_JPEG_LIMIT = 65_500
"""Longest side of a JPEG, in pixels."""

_SAVE_EVERY = 30.0
"""Least seconds after which the table is saved in between, against power cuts."""

_SAVE_SHARE = 0.02
"""Greatest share of the time that goes into that: a table grows, and so do the pauses."""


class Format(str, Enum):
    """What is written of a map: an image to look at, COCO panoptic files, or both."""

    OVERLAY = "overlay"
    COCO = "coco"
    BOTH = "both"


@dataclass(frozen=True)
class Job:
    """One image to segment, and its name in the output.

    `name` is unique among the jobs and has no suffix; `file_name` is the path below the folder that all
    share.
    """

    path: Path
    image_id: int
    name: str
    file_name: str


def make_jobs(pictures: Sequence[Path]) -> list[Job]:
    """A job for each image file; see `output_names`, `relative_names` and `image_ids` for their names."""
    columns = (pictures, image_ids(pictures), output_names(pictures), relative_names(pictures))
    return [Job(*row) for row in zip(*columns, strict=True)]


class _Row(NamedTuple):
    """What the table says of one image, as JSON."""

    image: str
    annotation: str


def _picture(job: Job) -> "Picture":
    """What an annotation tool's writer is told of an image."""
    from pansight.formats.annotation.door import Picture  # others never pay for all formats

    return Picture(job.image_id, job.file_name, job.name)


class MapWriter:
    """Writes maps into a folder, from any number of threads; every file is written atomically.

    `overlay`: overlays/NAME.jpg (.png where a side exceeds what JPEG can hold). `coco`: predictions/NAME.png,
    id = R + 256 G + 65536 B, and predictions.json with the data set's category ids, scores kept. As a context
    manager it saves that table at the end, even when it ends with an error or Ctrl-C. A `tool` writes the
    files of an annotation tool instead, its table at the end.

    Attributes:
        written: maps written so far.
        lost: how many segments the tool's format could not hold, by the reason.
    """

    def __init__(
        self,
        folder: Path,
        format: Format,
        jobs: Sequence[Job],
        categories: Categories,
        model: str = "",
        tool: "AnnotationWriter | None" = None,
    ) -> None:
        """Raises InputError when a file to be written is one of the images."""
        self.folder = folder
        self.format = format
        self.lost: Counter[str] = Counter()
        self._tool = tool
        self._tool_rows: dict[str, Any] = {}
        self.table = folder / "predictions.json"
        self.written = 0
        self._categories = categories
        self._model = model
        self._rows: dict[str, _Row] = {}
        self._order = {job.name: position for position, job in enumerate(jobs)}
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._next_save = time.monotonic() + _SAVE_EVERY
        if tool is not None:
            tool.plan([_picture(job) for job in jobs])
        sources = {os.path.realpath(job.path) for job in jobs}
        for job in jobs:
            for target in (*self._overlays(job), self._ids(job), *(() if tool is None else tool.targets)):
                if os.path.realpath(target) in sources:
                    raise InputError(f"{printable(target)} would be overwritten; choose another --output")

    def write(self, job: Job, image: UInt8[np.ndarray, "h w 3"], panoptic: PanopticMap) -> list[Path]:
        """Write what the format asks for; returns the files. Raises InputError when it cannot be written."""
        if self._tool is not None:
            return self._write_tool(self._tool, job, panoptic)
        files = []
        if self.format != Format.COCO:
            small, large = self._overlays(job)
            target = small if max(panoptic.height, panoptic.width) <= _JPEG_LIMIT else large
            save_picture(target, overlay(image, panoptic))
            files.append(target)
        if self.format != Format.OVERLAY:
            target = self._ids(job)
            rgb, annotation = panoptic.to_coco(job.image_id, target.name)
            save_picture(target, rgb)
            files.append(target)
            size = {"width": panoptic.width, "height": panoptic.height}
            image_row = {"id": job.image_id, "file_name": job.file_name, **size}
            row = _Row(json.dumps(image_row), json.dumps(annotation))
            with self._lock:
                self._rows[job.name] = row
                due = time.monotonic() >= self._next_save
            # one thread saves, the others go on writing
            if due and self._saving.acquire(blocking=False):
                try:
                    self._save_table()
                finally:
                    self._saving.release()
        with self._lock:
            self.written += 1
        return files

    def _write_tool(self, tool: "AnnotationWriter", job: Job, panoptic: PanopticMap) -> list[Path]:
        if tool.categories is not panoptic.categories:
            panoptic = replace(panoptic, categories=tool.categories)
        made = tool.write(_picture(job), panoptic)
        with self._lock:
            self._tool_rows[job.name] = made.row
            self.lost.update(one.kind for one in made.lost)
            self.written += 1
        return list(made.files)

    def __enter__(self) -> "MapWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tool is None and self.format == Format.OVERLAY:
            return
        with self._saving:
            if kind is None:
                self._save_table()
            else:
                with suppress(PansightError):  # one error is enough, and the first says more
                    self._save_table()

    def _save_table(self) -> None:
        """Rows as they are now; the caller holds `_saving`, and nobody waits meanwhile."""
        started = time.monotonic()
        if self._tool is not None:
            with self._lock:
                made = dict(self._tool_rows)
            self._tool.save([made[name] for name in sorted(made, key=self._order.__getitem__)])
            return
        with self._lock:
            rows = dict(self._rows)
        ordered = [rows[name] for name in sorted(rows, key=self._order.__getitem__)]
        info = {"description": f"predictions of {self._model}", "version": f"pansight {__version__}"}
        # every row was encoded when it came
        parts = (
            f'{{"info": {json.dumps(info)}, "images": [',
            ", ".join(row.image for row in ordered),
            '], "annotations": [',
            ", ".join(row.annotation for row in ordered),
            f'], "categories": {json.dumps(self._categories.to_json())}}}',
        )
        with atomic_write(self.table) as temporary, temporary.open("w", encoding="ascii") as file:
            file.writelines(parts)
        ended = time.monotonic()
        self._next_save = ended + max(_SAVE_EVERY, (ended - started) / _SAVE_SHARE)

    def _overlays(self, job: Job) -> tuple[Path, Path]:
        stem = self.folder / "overlays" / job.name
        return Path(f"{stem}.jpg"), Path(f"{stem}.png")

    def _ids(self, job: Job) -> Path:
        return Path(f"{self.folder / 'predictions' / job.name}.png")


def check_picture(path: Path) -> None:
    """Raise InputError where the suffix is no image format's."""
    # asked only where it is not plain: the answer takes all of Pillow's plugins to be imported
    if path.suffix not in (".jpg", ".png") and path.suffix.lower() not in Image.registered_extensions():
        ending = path.suffix or "no ending"
        raise InputError(f"{path}: {ending} is not an image format; use .png or .jpg")


def save_picture(path: Path, pixels: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write RGB pixels, JPEG or PNG by the suffix. Raises InputError when it cannot be written."""
    check_picture(path)
    with atomic_write(path) as temporary:
        if path.suffix == ".jpg":
            # no chroma subsampling: it would smear the thin coloured lines
            Image.fromarray(pixels).save(temporary, quality=92, subsampling=0)
        else:
            Image.fromarray(pixels).save(temporary)

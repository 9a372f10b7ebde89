"""Frames in the format of an annotation tool or a video data set, with their images."""

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from pansight.errors import InputError
from pansight.formats.annotation.door import AnnotationWriter, Picture
from pansight.runtime.writing import save_picture
from pansight.video.sinks.base import TrackedFrame, spool


class ToolFiles:
    """What a tool gets of all videos of a run: a picture VIDEO/FRAME for every frame, and one table.

    Rows wait in a temporary file, not in memory, until the end.

    Attributes:
        lost: how many segments the tool's format could not hold, by the reason.
    """

    def __init__(self, writer: AnnotationWriter, read: Collection[Path] = ()) -> None:
        """`read`: the files that are the source, resolved; none of them is overwritten."""
        self.lost: Counter[str] = Counter()
        self._writer = writer
        self._read = read
        self._rows = spool()
        self._count = 0

    def add(self, video: str, result: TrackedFrame) -> None:
        """Write the image and the labels of a frame. Raises InputError when that would overwrite a source."""
        self._count += 1
        name = f"{video}/{result.index:06d}"
        picture = Picture(self._count, f"{name}.jpg", name)
        self._writer.plan([picture])
        target = self._writer.image_path(picture)
        if target.resolve() in self._read:
            raise InputError(f"{target} would be overwritten; choose another --output")
        panoptic = replace(result.panoptic, categories=self._writer.categories)
        written = self._writer.write(picture, panoptic)
        save_picture(target, result.image)
        self.lost.update(one.kind for one in written.lost)
        self._rows.write(json.dumps(written.row) + "\n")

    def close(self) -> None:
        """Write the table of all frames."""
        self._rows.seek(0)
        self._writer.save([json.loads(line) for line in self._rows])
        self._rows.close()


class ToolSink:
    """Adds the frames of one video to a tool's files."""

    wants_drawing = False

    def __init__(self, files: ToolFiles, video: str) -> None:
        self._files, self._video = files, video

    def write(self, result: TrackedFrame) -> None:
        """Add a frame."""
        self._files.add(self._video, result)

    def close(self) -> None:
        """The files' owner closes them, when all videos are done."""

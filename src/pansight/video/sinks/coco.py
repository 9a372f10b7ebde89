"""COCO panoptic for videos, in the form of VIPSeg: a JSON and a PNG of ids for every frame."""

import json
from pathlib import Path
from typing import IO, Any

from pansight.categories import Categories
from pansight.files import atomic_write
from pansight.runtime.writing import save_picture
from pansight.version import __version__
from pansight.video.sinks.base import TrackedFrame, spool


class CocoVideo:
    """The JSON of all videos of a run: `videos`, `annotations` by `video_id`, `categories`.

    Rows wait in temporary files, not in memory, so an hour takes no more memory than a minute.
    """

    def __init__(self, path: Path, categories: Categories, model: str = "") -> None:
        self.path = path
        self._categories, self._model = categories, model
        self._videos: dict[str, tuple[IO[str], IO[str]]] = {}

    def add(self, video: str, image: dict[str, Any], annotation: dict[str, Any]) -> None:
        """A frame of a video."""
        if video not in self._videos:
            self._videos[video] = (spool(), spool())
        for file, row in zip(self._videos[video], (image, annotation), strict=True):
            file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        """Write the JSON."""
        with atomic_write(self.path) as temporary, temporary.open("w", encoding="ascii") as file:
            info = {"description": f"predictions of {self._model}", "version": f"pansight {__version__}"}
            file.write(f'{{"info": {json.dumps(info)}, "videos": [')
            self._list(file, 0, "images")
            file.write('], "annotations": [')
            self._list(file, 1, "annotations")
            file.write(f'], "categories": {json.dumps(self._categories.to_json())}}}')
        for pair in self._videos.values():
            for rows in pair:
                rows.close()

    def _list(self, file: IO[str], which: int, key: str) -> None:
        for number, (video, pair) in enumerate(self._videos.items()):
            comma = ", " if number else ""
            file.write(f'{comma}{{"video_id": {json.dumps(video)}, "{key}": [')
            pair[which].seek(0)
            for row, line in enumerate(pair[which]):
                file.write((", " if row else "") + line.rstrip("\n"))
            file.write("]}")


class CocoSink:
    """Writes FOLDER/predictions/<video>/<frame>.png, id = R + 256 G + 65536 B, and rows of the JSON."""

    wants_drawing = False

    def __init__(self, folder: Path, table: CocoVideo, video: str) -> None:
        self._folder, self._table, self._video = folder, table, video

    def write(self, result: TrackedFrame) -> None:
        """Write the PNG and remember the row."""
        name = f"{result.index:08d}.png"
        rgb, annotation = result.panoptic.to_coco(f"{result.index:08d}", name)
        save_picture(self._folder / self._video / name, rgb)
        image = {
            "id": f"{result.index:08d}",
            "file_name": name,
            "width": result.panoptic.width,
            "height": result.panoptic.height,
            "seconds": round(result.seconds, 6),
        }
        self._table.add(self._video, image, annotation)

    def close(self) -> None:
        """The table's owner closes it, when all videos are done."""

"""JSON lines: one object per frame, complete as soon as it is written, for readers that follow the file."""

import json
from pathlib import Path
from typing import IO, Any

from pansight.errors import InputError
from pansight.formats.rle import encode_rle
from pansight.video.sinks.base import TrackedFrame


class LinesSink:
    """Appends one line per frame: its source, number, times, and its segments.

    A segment has `id`, `category_id` (of the data set), `category`, `isthing`, `score`, `bbox` (x, y, width,
    height), `area`, and with `rle` its mask as COCO's compressed `segmentation`. `captured` is the time of
    capture, seconds since 1970; `seconds` that in the video; `latency` from capture to this line.
    """

    wants_drawing = False

    def __init__(self, path: Path, rle: bool = False) -> None:
        self._path, self._rle = path, rle
        self._file: IO[str] | None = None

    def write(self, result: TrackedFrame) -> None:
        """Append the line."""
        if self._file is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("w", encoding="ascii")
            except OSError as error:
                raise InputError(
                    f"cannot write {self._path}: {error.strerror or error}; choose another folder"
                ) from error
        self._file.write(json.dumps(line_of(result, self._rle)) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def line_of(result: TrackedFrame, rle: bool = False) -> dict[str, Any]:
    """What a line says of a frame."""
    panoptic = result.panoptic
    masks = encode_rle(panoptic.ids, [one.id for one in panoptic.segments]) if rle else []
    segments = []
    for number, segment in enumerate(panoptic.segments):
        category = panoptic.categories[segment.category]
        row: dict[str, Any] = {
            "id": segment.id,
            "category_id": category.dataset_id,
            "category": category.name,
            "isthing": int(category.is_thing),
            "score": None if segment.score is None else round(segment.score, 6),
            "bbox": list(segment.box),
            "area": segment.area,
        }
        if rle:
            row["segmentation"] = {"size": list(panoptic.ids.shape), "counts": masks[number]}
        segments.append(row)
    return {
        "source": result.source,
        "frame": result.index,
        "seconds": round(result.seconds, 6),
        "captured": round(result.frame.captured, 6),
        "latency": round(result.latency, 6),
        "dropped": result.dropped,
        "width": panoptic.width,
        "height": panoptic.height,
        "segments": segments,
    }

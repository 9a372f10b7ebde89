"""Rerun's log: frames, classes, objects and boxes on a timeline, for its viewer (https://rerun.io)."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from pansight.categories import Categories
from pansight.files import atomic_write, require_extra
from pansight.formats.ros2 import class_numbers, object_numbers
from pansight.video.sinks.base import TrackedFrame
from pansight.video.sinks.mcap import jpeg


class RerunSink:
    """Writes an .rrd: `image`, `image/classes`, `image/ids` and `image/things`, by `frame` and `video_time`.

    Names and colours of classes are said once, on `image`. Ids are 16 bit there; larger ones are counted
    from 1 in their frame. The form of the file belongs to the version of the package that wrote it. It
    appears when it is closed.
    """

    wants_drawing = False

    def __init__(self, path: Path) -> None:
        """Raises MissingExtraError without the package of the extra `rerun`."""
        self._rr: Any = require_extra("rerun", "rerun")
        self._path = path
        self._stack = ExitStack()
        self._recording: Any = None

    def write(self, result: TrackedFrame) -> None:
        """Add a frame."""
        rr, panoptic = self._rr, result.panoptic
        if self._recording is None:
            self._open(panoptic.categories, result.source)
        recording = self._recording
        recording.set_time("frame", sequence=result.index)
        recording.set_time("video_time", duration=result.seconds)
        if result.frame.captured:
            recording.set_time("captured", timestamp=result.frame.captured)
        recording.log("image", rr.EncodedImage(contents=jpeg(result.image), media_type="image/jpeg"))
        numbers, none = class_numbers(panoptic.categories)
        table = np.array([none, *(numbers[one.category] for one in panoptic.segments)], np.uint16)
        positions = panoptic.paint(list(range(1, len(panoptic.segments) + 1)))
        recording.log("image/classes", rr.SegmentationImage(table[positions], opacity=0.5))
        own = object_numbers(panoptic)
        objects = np.array([0, *own], np.uint16)[positions]
        recording.log("image/ids", rr.SegmentationImage(objects, opacity=0.0))
        rows = [
            (one, id)
            for one, id in zip(panoptic.segments, own, strict=True)
            if panoptic.categories[one.category].is_thing
        ]
        recording.log(
            "image/things",
            rr.Boxes2D(
                array=np.array([one.box for one, _ in rows], np.float32).reshape(-1, 4),
                array_format=rr.Box2DFormat.XYWH,
                class_ids=[numbers[one.category] for one, _ in rows],
                labels=[f"{panoptic.categories[one.category].name} {id}" for one, id in rows],
            ),
        )

    def close(self) -> None:
        """Finish the file."""
        if self._recording is not None:
            self._recording.flush()
            self._recording.disconnect()
            self._recording = None
            self._stack.close()

    def _open(self, categories: Categories, source: str) -> None:
        rr = self._rr
        temporary = self._stack.enter_context(atomic_write(self._path))
        self._recording = rr.RecordingStream("pansight", recording_id=source or None)
        self._recording.save(temporary)
        numbers, none = class_numbers(categories)
        rows = [(number, item.name, item.color) for number, item in zip(numbers, categories, strict=True)]
        self._recording.log("image", rr.AnnotationContext([*rows, (none, "", (0, 0, 0, 0))]), static=True)

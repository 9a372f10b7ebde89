"""MCAP with ROS 2 messages: what a robot's tools (Foxglove, ros2 bag) read, without a ROS installation."""

import io
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pansight.files import atomic_write, require_extra
from pansight.formats import ros2
from pansight.video.sinks.base import TrackedFrame

TOPICS = {
    "image": "/image/compressed",
    "ids": "/segmentation/ids",
    "classes": "/segmentation/classes",
    "label_info": "/segmentation/label_info",
    "detections": "/segmentation/detections",
}
"""The topics of a log, by what they hold."""

_TYPES = {
    "image": ros2.COMPRESSED,
    "ids": ros2.IMAGE,
    "classes": ros2.IMAGE,
    "label_info": ros2.LABEL_INFO,
    "detections": ros2.DETECTIONS,
}


class McapSink:
    """Writes of every frame: its JPEG, object ids, class ids, names of classes and boxes; see `TOPICS`.

    Log times are those in the video; with `live`, those of capture, since 1970. The names come with each
    frame, so that a part of the log says what it shows. The file appears when it is closed.
    """

    wants_drawing = False

    def __init__(self, path: Path, *, live: bool = False) -> None:
        """Raises MissingExtraError without the packages of the extra `mcap`."""
        require_extra("mcap_ros2", "mcap")
        self._path, self._live = path, live
        self._stack = ExitStack()
        self._writer: Any = None
        self._schemas: dict[str, Any] = {}

    def write(self, result: TrackedFrame) -> None:
        """Add a frame."""
        if self._writer is None:
            self._open()
        seconds = result.frame.captured if self._live else result.seconds
        nanoseconds = round(seconds * 1_000_000_000)
        head = ros2.header(nanoseconds, result.source or "camera")
        panoptic = result.panoptic
        messages = {
            "image": {"header": head, "format": "jpeg", "data": jpeg(result.image)},
            "ids": ros2.id_image(panoptic, head),
            "classes": ros2.class_image(panoptic, head),
            "label_info": ros2.label_info(panoptic.categories, head),
            "detections": ros2.detections(panoptic, head),
        }
        for name, message in messages.items():
            self._writer.write_message(
                TOPICS[name],
                self._schemas[_TYPES[name]],
                message,
                log_time=nanoseconds,
                publish_time=nanoseconds,
                sequence=result.index,
            )

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.finish()
            self._stack.close()
            self._writer = None

    def _open(self) -> None:
        from mcap_ros2.writer import Writer

        temporary = self._stack.enter_context(atomic_write(self._path))
        self._writer = Writer(self._stack.enter_context(temporary.open("wb")))
        for datatype in dict.fromkeys(_TYPES.values()):
            self._schemas[datatype] = self._writer.register_msgdef(datatype, ros2.definition(datatype))


def jpeg(image: UInt8[np.ndarray, "h w 3"], quality: int = 85) -> bytes:
    """An image as JPEG."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=quality)
    return stream.getvalue()

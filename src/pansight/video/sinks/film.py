"""Overlays as a film: H.264 in MP4, times and sound kept."""

from pathlib import Path

import numpy as np
from PIL import Image

from pansight.video.locations import Location
from pansight.video.sinks.base import TrackedFrame
from pansight.video.writer import VideoWriter


class FilmSink:
    """Writes what is drawn into one film; a stream that changes its size is fitted into its first one."""

    wants_drawing = True

    def __init__(self, path: Path, location: Location) -> None:
        self._path, self._location = path, location
        self._writer: VideoWriter | None = None
        self._size: tuple[int, int] | None = None

    def write(self, result: TrackedFrame) -> None:
        """Add the overlay."""
        assert result.drawn is not None
        image, frame = result.drawn, result.frame
        if self._writer is None:
            sound = self._location.address if self._location.kind == "file" else None
            rate = 1 / frame.duration if frame.duration else 25.0
            self._writer = VideoWriter(self._path, rate=rate, sound_from=sound)
            self._size = (image.shape[0], image.shape[1])
        if image.shape[:2] != self._size:
            assert self._size is not None
            image = np.asarray(Image.fromarray(image).resize(self._size[::-1]))
        self._writer.write(image, frame.seconds, frame.duration)

    def close(self) -> None:
        """Finish the film."""
        if self._writer is not None:
            self._writer.close()

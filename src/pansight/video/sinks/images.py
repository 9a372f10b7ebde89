"""Overlays as images, one per frame."""

from pathlib import Path

from pansight.runtime.writing import save_picture
from pansight.video.sinks.base import TrackedFrame


class FramesSink:
    """Writes FOLDER/000000.jpg, 000001.jpg ..., numbered as the frames of the source are."""

    wants_drawing = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, result: TrackedFrame) -> None:
        """Write the overlay."""
        assert result.drawn is not None
        save_picture(self._folder / f"{result.index:06d}.jpg", result.drawn)

    def close(self) -> None:
        """Nothing to do: each image is complete when it appears."""

"""What a sink gets, and what it is."""

import tempfile
from dataclasses import dataclass
from typing import IO, Protocol

import numpy as np
from jaxtyping import UInt8

from pansight.panoptic import PanopticMap
from pansight.video.frames import Frame


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """A frame and its panoptic map; ids last where identities are kept.

    Attributes:
        frame: what was decoded, with its source, number and times.
        panoptic: the map, of the image's size.
        drawn: the overlay, where one is made.
        latency: seconds from capture to here.
        dropped: frames of this source that newer ones replaced so far.
    """

    frame: Frame
    panoptic: PanopticMap
    drawn: UInt8[np.ndarray, "h w 3"] | None = None
    latency: float = 0.0
    dropped: int = 0

    @property
    def image(self) -> UInt8[np.ndarray, "h w 3"]:
        """The frame's pixels: RGB, 0..255."""
        return self.frame.image

    @property
    def source(self) -> str:
        """Name of the frame's source."""
        return self.frame.source

    @property
    def index(self) -> int:
        """Number of the frame in its source."""
        return self.frame.index

    @property
    def seconds(self) -> float:
        """Its time in the video."""
        return self.frame.seconds


class Sink(Protocol):
    """Takes the results of one source, in order, and is closed at the end, whatever the end is."""

    wants_drawing: bool

    def write(self, result: TrackedFrame) -> None:
        """Take one result."""

    def close(self) -> None:
        """Finish what was written. Called once."""


def spool() -> IO[str]:
    """A temporary file for rows of JSON: they wait there, not in memory, until a table is written."""
    return tempfile.TemporaryFile("w+", encoding="ascii")

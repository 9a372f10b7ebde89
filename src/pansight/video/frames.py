"""A frame of a video, and what a source says of itself."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame, upright.

    Attributes:
        image: RGB, 0..255.
        source: name of the source; `stream`: its number among the sources of a pipeline.
        index: number of the frame in its source, from 0; frames that were dropped count.
        seconds: its time in the video, from its beginning; monotonic, over reconnections too.
        captured: when it was decoded, seconds since 1970.
        decode: seconds that decoding took.
        duration: seconds until the next frame is due, where the source says so.
    """

    image: UInt8[np.ndarray, "h w 3"]
    source: str = ""
    stream: int = 0
    index: int = 0
    seconds: float = 0.0
    captured: float = 0.0
    decode: float = 0.0
    duration: float | None = None


class SourceState(str, Enum):
    """What a source is doing."""

    STARTING = "starting"
    RUNNING = "running"
    RECONNECTING = "reconnecting"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True)
class SourceEvent:
    """A source changed its state, or something happened to it; `message` shows no credentials."""

    source: str
    state: SourceState
    message: str = ""
    at: float = field(default=0.0)


@dataclass
class SourceCounts:
    """What became of the frames of one source."""

    decoded: int = 0
    dropped: int = 0
    """newer ones took their place, in `latest`"""
    corrupt: int = 0
    """packets and frames that could not be decoded"""
    connections: int = 0

"""`sensor_msgs/Image` to RGB pixels; needs no ROS."""

from typing import Any

import numpy as np

CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
"""The encodings that cameras send and that are read, and their bytes a pixel."""


def to_rgb(message: Any) -> np.ndarray:
    """The pixels of an image message, RGB, uint8 [height, width, 3].

    Rows may be padded (`step`). Raises ValueError, naming the encoding, for one that is not read.
    """
    encoding, height, width = message.encoding, int(message.height), int(message.width)
    if encoding not in CHANNELS:
        raise ValueError(f"encoding {encoding!r} is not read; use {', '.join(CHANNELS)}")
    channels = CHANNELS[encoding]
    rows = np.frombuffer(message.data, np.uint8)
    step = int(message.step) or width * channels
    if len(rows) < height * step or step < width * channels:
        raise ValueError(f"{len(rows)} bytes for {height} rows of {step}, {width} pixels of {channels} bytes")
    pixels = rows[: height * step].reshape(height, step)[:, : width * channels]
    pixels = pixels.reshape(height, width, channels)
    if channels == 1:
        return np.ascontiguousarray(np.repeat(pixels, 3, axis=2))
    order = [2, 1, 0] if encoding.startswith("bgr") else [0, 1, 2]
    return np.ascontiguousarray(pixels[..., order])

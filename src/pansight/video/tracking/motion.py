"""Association by motion: a box that keeps its velocity."""

import numpy as np
from jaxtyping import Bool, Float64

GAIN = 0.5
"""Weight of the newest displacement in a velocity."""

_COAST = 0.3
"""Seconds that an unseen object keeps moving; then it is assumed to stay where it is."""


def predicted(
    boxes: Float64[np.ndarray, "n 4"],
    velocities: Float64[np.ndarray, "n 2"],
    unseen: Float64[np.ndarray, "n"],
    size: tuple[int, int],
) -> Float64[np.ndarray, "n 4"]:
    """Boxes (centre x, centre y, width, height) after `unseen` seconds; centres stay in the image.

    An object keeps its last velocity for a while, at most to the border of the image.
    """
    coast = np.minimum(unseen, _COAST)
    moved = boxes.copy()
    moved[:, :2] += velocities * coast[:, None]
    height, width = size
    moved[:, 0] = moved[:, 0].clip(0, width)
    moved[:, 1] = moved[:, 1].clip(0, height)
    return moved


def box_iou(one: Float64[np.ndarray, "n 4"], other: Float64[np.ndarray, "m 4"]) -> Float64[np.ndarray, "n m"]:
    """IoU of boxes given as centre x, centre y, width, height."""
    low = np.maximum((one[:, :2] - one[:, 2:] / 2)[:, None], (other[:, :2] - other[:, 2:] / 2)[None])
    high = np.minimum((one[:, :2] + one[:, 2:] / 2)[:, None], (other[:, :2] + other[:, 2:] / 2)[None])
    shared = (high - low).clip(min=0).prod(2)
    areas = one[:, 2:].prod(1)[:, None] + other[:, 2:].prod(1)[None]
    union = areas - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def within_reach(
    one: Float64[np.ndarray, "n 4"],
    other: Float64[np.ndarray, "m 4"],
    reach: Float64[np.ndarray, "n"],
) -> Bool[np.ndarray, "n m"]:
    """Whether centres are no further apart than `reach` times the larger of the two objects' sizes."""
    distance = np.linalg.norm(one[:, None, :2] - other[None, :, :2], axis=2)
    size = np.sqrt(np.maximum(one[:, 2:].prod(1)[:, None], other[:, 2:].prod(1)[None]))
    return distance <= reach[:, None] * size


def velocity(
    before: Float64[np.ndarray, "n 2"],
    displacement: Float64[np.ndarray, "n 2"],
    seconds: Float64[np.ndarray, "n"],
    first: Bool[np.ndarray, "n"],
) -> Float64[np.ndarray, "n 2"]:
    """The running mean of velocities, pixels a second; of an object seen once before, the newest alone."""
    newest = displacement / np.maximum(seconds, 1e-6)[:, None]
    return np.where(first[:, None], newest, (1 - GAIN) * before + GAIN * newest)

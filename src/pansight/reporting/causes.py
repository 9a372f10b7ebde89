"""The causes of lost panoptic quality, in plain words, and their colours."""

from typing import NamedTuple

from pansight.metrics.losses import CAUSES as KEYS


class Cause(NamedTuple):
    """`key` is the metric's name of it, `color` RGB, in images and on the page."""

    key: str
    title: str
    words: str
    color: tuple[int, int, int]


_DESCRIBED = (
    Cause("missed", "Missed", "The truth has a segment here; nothing like it was predicted.", (222, 51, 62)),
    Cause("false", "False", "A segment was predicted where the truth has nothing like it.", (240, 160, 20)),
    Cause(
        "wrong_class",
        "Wrong category",
        "Found with a good outline, but called something else.",
        (186, 66, 206),
    ),
    Cause("merged", "Merged", "Several true segments of a category were predicted as one.", (118, 92, 255)),
    Cause("split", "Split", "One true segment was predicted in several pieces.", (196, 104, 62)),
    Cause(
        "ragged",
        "Inexact outline",
        "The right thing in the right place, but its outline is not the true one.",
        (22, 160, 190),
    ),
)

CAUSES = tuple(next(cause for cause in _DESCRIBED if cause.key == key) for key in KEYS)
"""In the order of the metric."""

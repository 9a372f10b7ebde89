"""What a report tells: the score, images of what went wrong, what others reach, how it was made."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from pansight.drawing.overlays import overlay
from pansight.metrics.evaluation import EvaluationResult
from pansight.panoptic import PanopticMap
from pansight.reporting.mistakes import find_mistakes
from pansight.reporting.published import Published


@dataclass(frozen=True)
class Panel:
    """One view of an image: RGB pixels and what they are."""

    caption: str
    pixels: UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class LostPicture:
    """An image on which much was lost: its views, and the segments missed and false by category."""

    name: str
    panels: tuple[Panel, ...]
    missed: tuple[tuple[str, int], ...]
    false: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Report:
    """Everything that the page says.

    `subject`: what was scored; `data`: on what. `pictures`: views of those of `result.worst` that could be
    had, in its order. `published`: figures to compare with. `problems`: samples that could not be used, a
    line each. `facts`: how it was made, as names and values. `planned`: images that there are, where an
    evaluation was stopped before all of them were scored; None where it was not.
    """

    subject: str
    data: str
    result: EvaluationResult
    pictures: tuple[LostPicture, ...] = ()
    published: tuple[Published, ...] = ()
    problems: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    planned: int | None = None


def lost_picture(
    name: str, image: UInt8[np.ndarray, "h w 3"] | None, prediction: PanopticMap, truth: PanopticMap
) -> LostPicture:
    """The views of one image: prediction, truth, itself if it is there, and where they differ.

    `image` is RGB of the maps' size. Raises InputError when the maps differ in size or the image has another.
    """
    ground = image
    if ground is None:
        ground = np.full((truth.height, truth.width, 3), 128, dtype=np.uint8)
    mistakes = find_mistakes(image, prediction, truth)
    panels = [Panel("prediction", overlay(ground, prediction)), Panel("truth", overlay(ground, truth))]
    if image is not None:
        panels.append(Panel("the image", image))
    panels.append(Panel("where they differ", mistakes.picture))
    return LostPicture(name, tuple(panels), mistakes.missed, mistakes.false)

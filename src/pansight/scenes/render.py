"""Render a world at one moment."""

import numpy as np
from jaxtyping import UInt8
from PIL import ImageDraw

from pansight.scenes.develop import backdrop, develop
from pansight.scenes.kinds import STUFF, THINGS
from pansight.scenes.layers import seen, stack
from pansight.scenes.sketch import paint
from pansight.scenes.world import View, World


def render(
    world: World, height: int, width: int, frame: int = 0
) -> tuple[UInt8[np.ndarray, "{height} {width} 3"], UInt8[np.ndarray, "{height} {width}"]]:
    """Image (RGB) and codes of a world, `frame` frames after its beginning.

    The world must have been sampled for this size. Codes index `code_names(world)`: the same in all frames.
    """
    view = View(world, 2.0 * min(height, width), world.lens.drift * frame, frame)
    layers, codes = seen(stack(view, (2 * width, 2 * height)), view, height, width)
    canvas = backdrop(view, 2 * width, 2 * height)
    draw = ImageDraw.Draw(canvas)
    for layer in layers:
        paint(draw, layer.shapes)
    return develop(canvas, codes, layers, view), codes


def code_names(world: World) -> tuple[str, ...]:
    """The category of each code: "" for 0, then the kinds of stuff, then the world's things one by one."""
    return ("", *STUFF, *(item.category for item in world.items if item.category in THINGS))

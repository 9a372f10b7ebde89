"""Render a world at one moment."""

import numpy as np
from jaxtyping import UInt8
from PIL import ImageDraw

from pansight.data.scenes.develop import backdrop, develop
from pansight.data.scenes.kinds import FIRST_THING_CODE, STUFF
from pansight.data.scenes.layers import seen, stack
from pansight.data.scenes.sketch import paint
from pansight.data.scenes.world import View, World


def render(
    world: World, height: int, width: int, frame: int = 0
) -> tuple[UInt8[np.ndarray, "{height} {width} 3"], UInt8[np.ndarray, "{height} {width}"], dict[int, str]]:
    """Picture, codes and the names of the codes of a world, `frame` frames after its beginning.

    A code is 1 + place in `kinds.STUFF` for stuff and FIRST_THING_CODE + place in `world.items` for a thing: the same
    in all frames.
    """
    span = min(height, width)
    view = View(world, 2.0 * span, world.lens.drift * frame, frame)
    layers, codes = seen(stack(view, (2 * width, 2 * height)), view, height, width)
    canvas = backdrop(view, 2 * width, 2 * height)
    draw = ImageDraw.Draw(canvas)
    for layer in layers:
        paint(draw, layer.shapes)
    picture = develop(canvas, codes, layers, view)
    names = {
        code: STUFF[code - 1] if code < FIRST_THING_CODE else world.items[code - FIRST_THING_CODE].category
        for code in np.flatnonzero(np.bincount(codes.ravel())).tolist()
    }
    return picture, codes, names

"""From a world at one moment to a stack of drawings, and which of them are really seen."""

import itertools
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from pansight.scenes import buildings, forms, landscape
from pansight.scenes.kinds import FIRST_THING_CODE, GROUND, STUFF, STUFF_CODE, THINGS
from pansight.scenes.sketch import RECTANGLE, Shape, bounds, stamp, stamp_moved
from pansight.scenes.world import Facade, Item, View

MIN_THING_SHARE = 0.0025
"""A thing covers at least this share of the image ..."""
MIN_THING_PIXELS = 16
MIN_VISIBLE = 0.3
"""... and at least this share of its own outline is seen; else it is left out of the image."""
MIN_STUFF_SHARE = 0.006
"""A kind of stuff that covers less of the image than this is left out or replaced by its neighbour."""
_ROUNDS = 8
_FACADE_DEPTH = 0.04
"""Rows of houses along a lane stand before the far wood and behind all that stands on the lane."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One drawing of the stack.

    `foot` is the canvas row on which it stands (None for what lies or flies), `shadow` whether it casts one,
    `base` whether it is the ground below all other.
    """

    code: int
    category: str
    shapes: list[Shape] = field(repr=False)
    foot: float | None = None
    item: Item | None = None
    shadow: bool = False
    base: bool = False


def stack(view: View, canvas: tuple[int, int]) -> list[Layer]:
    """All layers from far to near, for a canvas of (width, height) pixels; the sky is what remains."""
    world = view.world
    layers = [
        Layer(STUFF_CODE["mountain"], "mountain", landscape.ridge(ridge, view).shapes)
        for ridge in world.ridges
    ]
    flying, standing = [], []
    things = itertools.count(FIRST_THING_CODE)
    for item in world.items:
        code = next(things) if item.category in THINGS else STUFF_CODE[item.category]
        pen = forms.draw(item, view)
        shadow = item.form not in ("thicket", "house", "boat") and item.depth > 0.08
        layer = Layer(code, item.category, pen.shapes, pen.y if item.depth >= 0 else None, item, shadow)
        if item.depth >= 0:
            standing.append((pen.y, layer))
        else:  # birds fly before balloons, and large balloons are near
            flying.append((item.scale + (item.category == "bird"), layer))
    layers += [layer for _, layer in sorted(flying, key=_first)]
    layers.append(_base(view, world.base, canvas))
    for piece in world.grounds:
        layers.append(Layer(STUFF_CODE[piece.category], piece.category, landscape.ground(piece, view).shapes))
    for row in sorted(world.facades, key=_near):
        layer = Layer(STUFF_CODE["building"], "building", buildings.facade(view, row, world.light).shapes)
        standing.append((view.y(_FACADE_DEPTH), layer))
    layers += [layer for _, layer in sorted(standing, key=_first)]
    return layers


def _near(row: Facade) -> float:
    return row.near


def _first(pair: tuple[float, Layer]) -> float:
    return pair[0]


def _base(view: View, category: str, canvas: tuple[int, int]) -> Layer:
    """The ground that fills everything below the horizon."""
    color = landscape.ground_color(category, view)
    box = [-1.0, view.y(0.0), canvas[0] + 1.0, canvas[1] + 1.0]
    return Layer(STUFF_CODE[category], category, [(RECTANGLE, box, color, True)], base=True)


def codes_of(layers: list[Layer], height: int, width: int) -> UInt8[np.ndarray, "{height} {width}"]:
    """Which layer's code each pixel shows: drawn at twice the size, then decided by the majority of four."""
    canvas = Image.new("L", (2 * width, 2 * height), STUFF_CODE["sky"])
    draw = ImageDraw.Draw(canvas)
    for layer in layers:
        stamp(draw, layer.shapes, layer.code)
    codes = np.asarray(canvas)
    one, two, three = codes[::2, ::2], codes[::2, 1::2], codes[1::2, ::2]
    # if the second and third agree they are at least half of the four; else the first is
    return np.where(two == three, two, one)


def seen(
    layers: list[Layer], view: View, height: int, width: int
) -> tuple[list[Layer], UInt8[np.ndarray, "{height} {width}"]]:
    """The layers that stay once nothing is left that is too small or too hidden, and the codes they show."""
    least_thing = max(MIN_THING_PIXELS, MIN_THING_SHARE * height * width)
    least_stuff = MIN_STUFF_SHARE * height * width
    outlines: dict[int, float] = {}
    codes = codes_of(layers, height, width)
    for _ in range(_ROUNDS):
        counts = np.bincount(codes.ravel(), minlength=256).tolist()
        hidden: set[int] = set()
        for layer in layers:
            if layer.code >= FIRST_THING_CODE:
                if layer.code not in outlines:
                    outlines[layer.code] = _outline_area(layer, counts[layer.code])
                if counts[layer.code] < max(least_thing, MIN_VISIBLE * outlines[layer.code]):
                    hidden.add(layer.code)
        slivers = {code for code in range(2, len(STUFF) + 1) if 0 < counts[code] < least_stuff}
        if not hidden and not slivers:
            break
        visible = any(counts[code] for code in hidden | slivers)
        layers = [layer for layer in layers if layer.code not in hidden]
        for code in sorted(slivers):
            layers = _without(layers, code, counts, view, (2 * width, 2 * height))
        if not visible:
            break
        codes = codes_of(layers, height, width)
    return layers, codes


def _without(
    layers: list[Layer], code: int, counts: list[int], view: View, canvas: tuple[int, int]
) -> list[Layer]:
    """Take a kind of stuff out; if it was the base, the most frequent other ground replaces it."""
    kept = []
    for layer in layers:
        if layer.code == code and layer.base:
            others = [name for name in GROUND if STUFF_CODE[name] != code]
            best = max(others, key=lambda name: counts[STUFF_CODE[name]])
            kept.append(_base(view, best, canvas))
        elif layer.code != code:
            kept.append(layer)
    return kept


def _outline_area(layer: Layer, visible: int) -> float:
    """Area of a thing's whole outline in pixels, also where it is hidden or outside the image."""
    x0, y0, x1, y1 = bounds(layer.shapes)
    box = (x1 - x0) * (y1 - y0) / 4.0
    if visible >= MIN_VISIBLE * box:
        return box
    width, height = int((x1 - x0) / 2) + 2, int((y1 - y0) / 2) + 2
    mask = Image.new("1", (width, height))
    stamp_moved(ImageDraw.Draw(mask), layer.shapes, (0.5, 0.0, -x0 / 2, 0.0, 0.5, -y0 / 2), 1)
    return float(np.count_nonzero(np.asarray(mask)))

"""From flat colours to a photograph: clouds, reflections, texture, shadow, air, lens."""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8
from PIL import Image, ImageDraw, ImageFilter

from pansight.scenes.color import Color
from pansight.scenes.kinds import FIRST_THING_CODE, STUFF_CODE
from pansight.scenes.layers import Layer
from pansight.scenes.sketch import bounds, stamp_moved
from pansight.scenes.texture import grain, sample, sample_ground
from pansight.scenes.world import View

Planes = Float32[np.ndarray, "3 h w"]
"""Red, green and blue as planes of 0..255: numpy works on long rows, not on triples."""
Plane = Float32[np.ndarray, "h w"]
Codes = UInt8[np.ndarray, "h w"]
Index = Int[np.ndarray, "h w"]
"""Codes in the type that numpy needs for table look-ups."""

_SKY, _WATER = STUFF_CODE["sky"], STUFF_CODE["water"]


def _table(values: dict[str, float], things: float = 0.0) -> Float32[np.ndarray, "256"]:
    """A value for each code: of the named stuff, 0 for other stuff, and one for all things."""
    table = np.full(256, things, np.float32)
    table[:FIRST_THING_CODE] = 0.0
    for name, value in values.items():
        table[STUFF_CODE[name]] = value
    return table


_LEAF = _table(
    {"mountain": 0.16, "building": 0.06, "vegetation": 0.3, "grass": 0.14, "road": 0.05, "sidewalk": 0.04},
    0.035,
)
_SOIL = _table({"grass": 0.2, "road": 0.09, "sidewalk": 0.07})
_SHADED = _table({"grass": 1.0, "road": 1.0, "sidewalk": 1.0, "water": 0.7})
_VEILED = _table({"grass": 1.0, "road": 1.0, "sidewalk": 1.0, "water": 0.5})


def backdrop(view: View, width: int, height: int) -> Image.Image:
    """The empty sky on a canvas of width x height pixels: its colours, and the sun's disc if it is seen."""
    world, light = view.world, view.world.light
    low = max(1.0, world.horizon * view.unit)
    share = np.minimum(np.arange(height, dtype=np.float32) / np.float32(low), 1.0)[:, None]
    share = share * (0.55 + 0.45 * share)
    rows = np.array(light.zenith, np.float32) * (1 - share) + np.array(light.low, np.float32) * share
    column = Image.fromarray(np.rint(rows).astype(np.uint8)[:, None])
    canvas = column.resize((width, height), Image.Resampling.NEAREST)
    if light.visible:
        x, y = light.sun[0] * width - 0.3 * view.pan * view.unit, light.sun[1] * low
        r = 0.045 * view.unit
        ImageDraw.Draw(canvas).ellipse((x - r, y - r, x + r, y + r), fill=light.glow)
    return canvas


def develop(canvas: Image.Image, codes: Codes, layers: list[Layer], view: View) -> UInt8[np.ndarray, "h w 3"]:
    """The finished image from the painted canvas of twice its size."""
    height, width = codes.shape
    lens, light = view.world.lens, view.world.light
    index = codes.astype(np.intp)
    small = canvas.reduce(2)
    if lens.blur > 0.05:
        small = small.filter(ImageFilter.BoxBlur(lens.blur * min(height, width) / 256))
    planes = np.stack([np.asarray(band, np.float32) for band in small.split()])
    _sky(planes, codes, view)
    bright = _surface(index, view)
    _roundness(bright, codes, layers, light.side)
    _shadows(bright, index, layers, view)
    planes *= bright
    depths = _depths(height, view)
    first = int(np.searchsorted(depths, 0))
    if first < height:
        water = codes == _WATER
        if water.any():
            _mirror(planes, water, depths, view)
        veil = _VEILED.take(index[first:])
        veil *= (np.float32(0.85 * light.thickness) * (1 - depths[first:]) ** 4)[:, None]
        _blend(planes[:, first:], light.haze, veil)
    lit = _vignette(height, width) * np.float32(-lens.vignette)
    lit += 1
    noise = grain(height, width, lens.grain * 7919 + view.frame * 1000003)
    picture = np.empty((height, width, 3), np.uint8)
    for channel, plane in enumerate(planes):
        plane *= lit * np.float32(light.tint[channel])
        plane += noise[channel] * np.float32(lens.noise)
        plane += np.float32(0.5)
        np.clip(plane, 0, 255, out=plane)
        picture[..., channel] = plane
    return picture


def _blend(planes: Planes, color: Color, share: Plane, gain: float = 1.0) -> None:
    """Move the planes towards a colour by a share (0..1) a pixel, in place."""
    for plane, level in zip(planes, color, strict=True):
        plane += (np.float32(level * gain) - plane) * share


def _sky(planes: Planes, codes: Codes, view: View) -> None:
    """Clouds and the glow around the sun, in place."""
    world, light = view.world, view.world.light
    height, width = codes.shape
    rows = min(height, int(world.horizon * view.unit / 2) + 1)
    sky = codes[:rows] == _SKY
    if not sky.any():
        return
    x, y = light.sun[0] * width, light.sun[1] * rows
    span = 0.5 * view.unit
    dx = (np.arange(width, dtype=np.float32) - np.float32(x)) / np.float32(0.55 * span)
    dy = (np.arange(rows, dtype=np.float32) - np.float32(y)) / np.float32(0.4 * span)
    # a bell without exp: the same on every machine
    across, down = 1 / (1 + dx * dx), 1 / (1 + dy * dy)
    glow = (down * down * np.float32(0.75 if light.visible else 0.3))[:, None] * (across * across)[None, :]
    shift = (
        world.lens.grain % 499,
        int(world.lens.grain // 499 + (0.25 * view.pan + 0.0015 * view.frame) * 192),
    )
    cloud = sample("cloud", rows, width, 0.9 * 192 / span, shift)
    cloud *= np.float32(2.6)
    cloud += np.float32((light.cover * 1.1 - 0.75) * 2.6)
    np.clip(cloud, 0, 1, out=cloud)
    cloud *= cloud * (3 - 2 * cloud)
    # thin towards the horizon
    cloud *= np.linspace(0.95, 0.45, rows, dtype=np.float32)[:, None]
    glow *= sky
    cloud *= sky
    _blend(planes[:, :rows], light.glow, glow)
    _blend(planes[:, :rows], light.cloud, cloud)


def _depths(height: int, view: View) -> Float32[np.ndarray, "{height}"]:
    """Depth of each row of the image, below 0 above the horizon."""
    world = view.world
    rows = (np.arange(height, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / view.unit)
    return (rows - np.float32(world.horizon)) / np.float32(world.height - world.horizon)


def _surface(index: Index, view: View) -> Plane:
    """Brightness of each pixel that its surface's texture gives."""
    height, width = index.shape
    seed = view.world.lens.grain
    moved = int(view.pan * 192)
    texels = 192 / (0.5 * view.unit)
    bright = sample("leaf", height, width, texels, (seed % 503, seed // 503 + moved))
    bright *= _LEAF.take(index)
    bright += 1
    depths = _depths(height, view)
    first = int(np.searchsorted(depths, 0))
    if first < height:
        soil = sample_ground("ground", depths[first:], width, texels, (seed % 509, seed // 509 + moved), 5.0)
        soil *= _SOIL.take(index[first:])
        bright[first:] += soil
    return bright


def _roundness(bright: Plane, codes: Codes, layers: list[Layer], side: int) -> None:
    """Things are lighter above and towards the light, in place."""
    height, width = codes.shape
    for layer in layers:
        if layer.code < FIRST_THING_CODE:
            continue
        x0, y0, x1, y1 = (int(v / 2) for v in bounds(layer.shapes))
        x0, y0, x1, y1 = max(0, x0 - 1), max(0, y0 - 1), min(width, x1 + 2), min(height, y1 + 2)
        if x0 >= x1 or y0 >= y1:
            continue
        down = np.linspace(0.09, -0.13, y1 - y0, dtype=np.float32)[:, None]
        along = np.linspace(-0.07 * side, 0.07 * side, x1 - x0, dtype=np.float32)[None, :]
        bright[y0:y1, x0:x1] += (down + along) * (codes[y0:y1, x0:x1] == layer.code)


def _shadows(bright: Plane, index: Index, layers: list[Layer], view: View) -> None:
    """Darken the ground under cast shadows, in place; boats darken the water below them instead."""
    height, width = bright.shape
    light = view.world.light
    standing = [layer for layer in layers if layer.item is not None and layer.foot is not None]
    boats = [layer for layer in standing if layer.category == "boat"]
    # drawn at half the size: growing it again makes the edges soft
    half = ((width + 1) // 2, (height + 1) // 2)
    mask = Image.new("L", half)
    draw = ImageDraw.Draw(mask)
    slant, reach = 0.25 * light.slant, 0.25 * light.reach
    cast = int(255 * light.shadow)
    for layer in standing:
        if layer.shadow:
            foot = layer.foot or 0.0
            stamp_moved(
                draw, layer.shapes, (0.25, -slant, slant * foot, 0.0, -reach, (0.25 + reach) * foot), cast
            )
    for layer in standing:
        if layer.code >= FIRST_THING_CODE:
            x0, _, x1, _ = bounds(layer.shapes)
            x, wide, foot = (x0 + x1) / 8, 0.125 * (x1 - x0), (layer.foot or 0.0) / 4
            thick = max(0.6, 0.14 * wide)
            draw.ellipse((x - wide, foot - thick, x + wide, foot + thick), fill=max(cast, 85))
    dark = _soft(mask, height, width, view)
    dark *= _SHADED.take(index)
    if boats:
        mask = Image.new("L", half)
        draw = ImageDraw.Draw(mask)
        for layer in boats:
            stamp_moved(draw, layer.shapes, (0.25, 0.0, 0.0, 0.0, -0.1, 0.35 * (layer.foot or 0.0)), 62)
        dark += _soft(mask, height, width, view) * (index == _WATER)
    bright *= 1 - dark


def _soft(mask: Image.Image, height: int, width: int, view: View) -> Plane:
    """A half-size mask of 0..255 as a plane of 0..1 with soft edges."""
    blurred = mask.filter(ImageFilter.BoxBlur(0.0011 * view.unit))
    soft = np.asarray(blurred.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    soft *= np.float32(1 / 255)
    return soft


def _mirror(
    planes: Planes, water: Bool[np.ndarray, "h w"], depths: Float32[np.ndarray, "h"], view: View
) -> None:
    """What stands beyond the water is seen in it, broken by ripples; in place."""
    width = water.shape[1]
    used = np.flatnonzero(water.any(1))
    top, end = int(used[0]), int(used[-1]) + 1
    count = end - top
    seed = view.world.lens.grain
    texels = 192 / (0.5 * view.unit)
    shift = (seed % 487 + view.frame // 3, seed // 487 + int(view.pan * 192 + view.frame))
    depth = np.clip(depths[top:end], 0, 1)
    ripple = sample_ground("ripple", depth, width, texels, shift, 6.0)
    wet = water[top:end]
    rows = np.arange(count, dtype=np.float32)
    jitter = ripple[:, width // 2] * np.float32(0.03 * view.unit) * (0.2 + depth)
    source = np.clip(top - 1 - rows * np.float32(0.9) + jitter, 0, max(0, top - 1)).astype(np.int64)
    strength = (ripple * np.float32(0.5) + 1) * np.linspace(0.62, 0.2, count, dtype=np.float32)[:, None]
    strength *= wet
    gleam = np.clip(ripple - np.float32(0.42), 0, 1)
    gleam *= (np.float32(0.385) + np.float32(0.715) * depth)[:, None]
    gleam *= wet
    shimmer = ripple * np.float32(0.1)
    shimmer *= wet
    shimmer += 1
    gap = 2
    for plane, low in zip(planes, view.world.light.low, strict=True):
        image = plane[source]
        smeared = image.copy()
        smeared[:, gap:] += image[:, :-gap]
        smeared[:, gap:-gap] += image[:, 2 * gap :]
        smeared[:, :gap] *= 3
        smeared[:, -gap:] *= np.float32(1.5)
        smeared *= np.float32(1 / 3)
        part = plane[top:end]
        part += (smeared - part) * strength
        part += (np.float32(low * 1.12) - part) * gleam
        part *= shimmer


@lru_cache(maxsize=8)
def _vignette(height: int, width: int) -> Plane:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return (x * x + y * y) ** 2 * np.float32(0.25)

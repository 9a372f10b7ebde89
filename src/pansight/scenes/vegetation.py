"""Trees, bushes and woods."""

from pansight.scenes.color import Color, choose, mix, shade
from pansight.scenes.sketch import Pen

_LEAVES: tuple[Color, ...] = (
    (52, 104, 56),
    (66, 116, 48),
    (44, 92, 66),
    (84, 118, 44),
    (60, 98, 42),
    (128, 112, 40),
    (148, 92, 38),
)
_TRUNK: Color = (92, 70, 54)


def _crown(pen: Pen, leaf: Color, side: int, lobes: tuple[tuple[float, float, float], ...]) -> None:
    """Round lobes (x, y, radius): dark below, lighter where the light comes from."""
    for x, y, r in lobes:
        pen.disc(x, y, r, r * 0.95, shade(leaf, 0.78))
    for x, y, r in lobes:
        pen.disc(x + side * 0.14 * r, y + 0.14 * r, 0.78 * r, 0.74 * r, leaf)
    for x, y, r in lobes[::2]:
        pen.disc(x + side * 0.26 * r, y + 0.28 * r, 0.48 * r, 0.42 * r, mix(leaf, (206, 214, 110), 0.13))


def tree(pen: Pen, look: tuple[float, ...], side: int) -> None:
    """A broad-leaved tree about 4.5 m high."""
    leaf = choose(_LEAVES, look[0])
    high = 1.25 + 0.5 * look[1]
    pen.poly(((-0.24, 0), (-0.15, high + 0.3), (0.15, high + 0.3), (0.24, 0)), _TRUNK)
    pen.poly(((0.02, 0), (0.02, high), (0.15, high), (0.24, 0)), shade(_TRUNK, 1.2 if side > 0 else 0.8))
    wide = 0.85 + 0.25 * look[2]
    lobes = (
        (-0.85 * wide, high + 0.75, 0.78),
        (0.85 * wide, high + 0.8 + 0.2 * look[3], 0.76),
        (-0.45 * wide, high + 1.55, 0.82),
        (0.5 * wide, high + 1.6 + 0.2 * look[4], 0.8),
        (0.05, high + 0.95, 0.95),
        (0.1 * (look[5] - 0.5), high + 2.15, 0.74),
    )
    _crown(pen, leaf, side, lobes)


def bush(pen: Pen, look: tuple[float, ...], side: int) -> None:
    """A bush about 1.4 m high."""
    leaf = choose(_LEAVES, look[0])
    lobes = (
        (-0.85, 0.42, 0.5),
        (0.85, 0.4 + 0.1 * look[1], 0.52),
        (-0.4, 0.72 + 0.1 * look[2], 0.6),
        (0.42, 0.7 + 0.15 * look[3], 0.62),
        (0.0, 0.5, 0.62),
    )
    _crown(pen, leaf, side, lobes)


def fir(pen: Pen, look: tuple[float, ...], side: int) -> None:
    """A conifer about 4.6 m high."""
    leaf = mix((40, 88, 66), (62, 104, 58), look[0])
    pen.box(-0.14, 0.0, 0.14, 0.7, _TRUNK)
    top = 4.0 + 0.8 * look[1]
    tiers = 4
    for i in range(tiers):
        base = 0.45 + (top - 0.9) * i / tiers
        peak = base + (top - 0.2) / tiers * 1.7
        half = 1.15 * (1 - 0.2 * i)
        tone = shade(leaf, 0.8 + 0.08 * i)
        pen.poly(((-half, base), (0, min(peak, top)), (half, base), (0, base - 0.12)), tone)
        pen.poly(((0, min(peak, top)), (side * half, base), (side * 0.1, base - 0.1)), shade(tone, 1.22))


def poplar(pen: Pen, look: tuple[float, ...], side: int) -> None:
    """A slim tree about 4.8 m high."""
    leaf = choose(_LEAVES[:5], look[0])
    pen.box(-0.13, 0.0, 0.13, 1.0, _TRUNK)
    high = 2.1 + 0.3 * look[1]
    pen.disc(0, 0.55 + high, 0.72, high, shade(leaf, 0.8))
    pen.disc(side * 0.1, 0.62 + high, 0.54, high * 0.86, leaf)
    pen.disc(side * 0.2, 0.8 + high * 1.15, 0.3, high * 0.55, mix(leaf, (206, 214, 110), 0.13), False)


def thicket(pen: Pen, look: tuple[float, ...], side: int) -> None:
    """A piece of a far wood, about 4 m wide and 2 m high."""
    leaf = mix((50, 92, 58), choose(_LEAVES, look[0]), 0.45)
    pen.box(-2.3, -0.1, 2.3, 0.9, shade(leaf, 0.72))
    lobes = (
        (-1.6, 0.9, 0.85 + 0.3 * look[1]),
        (1.5, 0.9, 0.8 + 0.4 * look[2]),
        (-0.5, 1.0 + 0.2 * look[3], 0.9 + 0.4 * look[4]),
        (0.6, 1.0, 0.95 + 0.3 * look[5]),
    )
    for x, y, r in lobes:
        pen.disc(x, y, 1.1 * r, r, shade(leaf, 0.82))
        pen.disc(x + side * 0.2 * r, y + 0.2 * r, 0.75 * r, 0.66 * r, leaf)

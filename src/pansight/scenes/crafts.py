"""Boats, hot-air balloons and traffic lights."""

from pansight.scenes.color import Color, choose, mix, shade
from pansight.scenes.sketch import Pen

_HULLS: tuple[Color, ...] = ((238, 236, 230), (178, 60, 52), (44, 84, 138), (132, 88, 56), (52, 120, 104))
_SAILS: tuple[Color, ...] = ((250, 246, 236), (240, 214, 170), (226, 96, 78), (112, 164, 206))
_SILKS: tuple[tuple[Color, Color], ...] = (
    ((216, 58, 54), (252, 206, 84)),
    ((48, 116, 188), (246, 246, 240)),
    ((238, 132, 48), (124, 62, 132)),
    ((66, 158, 118), (250, 224, 120)),
    ((208, 72, 128), (252, 214, 222)),
    ((40, 62, 116), (236, 96, 72)),
)


def boat(pen: Pen, look: tuple[float, ...]) -> None:
    """A sailing boat (3.6 m long, 4 m high) or a motor boat (4 m, 1.8 m); the water line is at 0."""
    hull = choose(_HULLS, look[0])
    if look[1] < 0.6:
        sail = choose(_SAILS, look[2])
        pen.box(-0.08, 0.4, 0.06, 3.9 + 0.3 * look[3], (126, 96, 70))
        high = 3.5 + 0.3 * look[3]
        pen.poly(((-0.1, 0.78), (-0.1, high), (-0.62, 2.2), (-1.5, 0.82)), sail)
        pen.poly(((-0.1, 0.78), (-0.1, high), (-0.36, 2.6), (-0.62, 0.8)), mix(sail, (255, 255, 255), 0.4))
        pen.poly(((0.1, 0.8), (0.1, 3.2), (0.8, 1.8), (1.45, 0.78)), shade(sail, 0.88))
        pen.poly(((-1.75, 0.62), (-1.5, -0.06), (1.25, -0.06), (1.85, 0.68)), hull)
        pen.poly(((-1.75, 0.62), (-1.7, 0.46), (1.7, 0.5), (1.85, 0.68)), mix(hull, (255, 255, 255), 0.45))
        pen.poly(((-1.56, 0.1), (-1.5, -0.06), (1.25, -0.06), (1.4, 0.12)), shade(hull, 0.66))
        return
    pen.poly(((-1.25, 0.6), (-1.2, 1.5), (0.35, 1.5), (0.7, 0.6)), (244, 242, 236))
    pen.poly(((-1.02, 0.86), (-1.0, 1.32), (-0.35, 1.32), (-0.35, 0.86)), (74, 98, 122), False)
    pen.poly(((-0.2, 0.86), (-0.2, 1.32), (0.24, 1.32), (0.46, 0.86)), (74, 98, 122), False)
    pen.box(-1.35, 1.46, 0.42, 1.6, hull)
    pen.box(-0.95, 1.55, -0.68, 2.0, shade(hull, 0.75))
    pen.poly(((-1.95, 0.78), (-1.75, -0.06), (1.35, -0.06), (2.05, 0.86), (1.1, 0.72)), hull)
    pen.poly(
        ((-1.95, 0.78), (-1.92, 0.6), (1.85, 0.62), (2.05, 0.86), (1.1, 0.72)),
        mix(hull, (255, 255, 255), 0.45),
    )
    pen.poly(((-1.8, 0.1), (-1.75, -0.06), (1.35, -0.06), (1.5, 0.12)), shade(hull, 0.66))


def balloon(pen: Pen, look: tuple[float, ...], side: int) -> None:
    """A hot-air balloon, 1 unit high, its middle at the origin."""
    first, second = choose(_SILKS, look[0])
    pen.poly(((-0.1, -0.2), (-0.065, -0.42), (0.065, -0.42), (0.1, -0.2)), shade(first, 0.5))
    pen.box(-0.085, -0.5, 0.085, -0.38, (138, 94, 58))
    pen.box(-0.085, -0.415, 0.085, -0.38, (104, 68, 44), False)
    for i, half in enumerate((0.38, 0.27, 0.155, 0.05)):
        silk = (first if i % 2 == 0 else second) if look[1] < 0.75 else mix(first, second, i / 3)
        silk = shade(silk, 0.82 + 0.08 * i)
        solid = i == 0
        neck = half * 0.26
        pen.disc(0.0, 0.14, half, 0.36, silk, solid)
        pen.poly(((-half * 0.93, 0.01), (-neck, -0.28), (neck, -0.28), (half * 0.93, 0.01)), silk, solid)
    if look[2] < 0.5:
        pen.poly(
            ((-0.376, 0.19), (-0.38, 0.11), (0.38, 0.11), (0.376, 0.19)),
            mix(second, (255, 255, 255), 0.3),
        )
    pen.disc(side * 0.16, 0.28, 0.1, 0.13, mix(first, (255, 255, 255), 0.35), False)


def traffic_light(pen: Pen, look: tuple[float, ...], frame: int) -> None:
    """A traffic light on a short pole, 2.4 m high; which lamp is on changes every 40 frames."""
    case: Color = (46, 50, 54) if look[0] < 0.6 else (206, 164, 48)
    pen.box(-0.1, 0.0, 0.1, 1.2, (92, 96, 102))
    pen.box(-0.2, 0.0, 0.2, 0.12, (70, 72, 78))
    pen.box(-0.3, 1.06, 0.3, 2.42, case)
    pen.box(-0.24, 1.12, 0.24, 2.36, (26, 28, 30), False)
    on = (int(look[1] * 3) + frame // 40) % 3
    lamps: tuple[Color, ...] = ((60, 220, 110), (252, 196, 60), (244, 58, 48))
    for i in range(3):
        y = 1.33 + 0.41 * i
        pen.disc(0.0, y, 0.17, 0.17, lamps[i] if i == on else shade(lamps[i], 0.32), False)

"""Cars, buses and motorcycles."""

from pansight.scenes.color import Color, choose, mix, shade
from pansight.scenes.sketch import Pen

_PAINTS: tuple[Color, ...] = (
    (196, 44, 46),
    (38, 92, 172),
    (236, 236, 232),
    (52, 56, 64),
    (168, 174, 180),
    (236, 184, 48),
    (48, 128, 96),
    (214, 108, 44),
    (112, 164, 204),
)
_LIVERIES: tuple[Color, ...] = ((206, 48, 44), (240, 190, 52), (44, 108, 184), (54, 146, 104), (232, 120, 48))
_TYRE: Color = (34, 34, 38)
_RIM: Color = (168, 172, 178)
_GLASS: Color = (70, 92, 112)
_SHINE: Color = (178, 204, 220)
_HEADLAMP: Color = (255, 244, 206)
_TAILLAMP: Color = (208, 36, 36)


def _wheel(pen: Pen, x: float, radius: float) -> None:
    pen.disc(x, radius, radius, radius, _TYRE)
    pen.disc(x, radius, 0.56 * radius, 0.56 * radius, _RIM, False)
    pen.disc(x, radius, 0.2 * radius, 0.2 * radius, (96, 98, 104), False)


def car(pen: Pen, look: tuple[float, ...]) -> None:
    """A car from the side, 3.9 m long, front at the right."""
    paint = choose(_PAINTS, look[0])
    dark, bright = shade(paint, 0.72), mix(paint, (255, 255, 255), 0.28)
    tall = 1.36 + 0.26 * look[1]
    van = look[2] > 0.7
    rear = -1.86 if van else -1.5 + 0.25 * look[3]
    front = 0.75 + 0.2 * look[4]
    waist = 0.86
    pen.poly(
        ((rear, waist - 0.1), (rear + 0.22, tall - 0.06), (rear + 0.4, tall), (front - 0.62, tall),
         (front - 0.4, tall - 0.07), (front + 0.16, waist - 0.1)),
        dark,
    )  # fmt: skip
    pen.poly(
        ((-1.95, 0.34), (-1.95, 0.72), (-1.84, waist), (front, waist), (1.7, waist - 0.12), (1.93, 0.66),
         (1.95, 0.34), (1.8, 0.26), (-1.85, 0.26)),
        paint,
    )  # fmt: skip
    pen.poly(((-1.9, waist - 0.12), (-1.84, waist), (front, waist), (1.7, waist - 0.12)), bright)
    pen.poly(((-1.95, 0.4), (1.95, 0.4), (1.8, 0.26), (-1.85, 0.26)), dark)
    pen.poly(
        ((rear + 0.24, waist), (rear + 0.42, tall - 0.12), (-0.22, tall - 0.12), (-0.22, waist)),
        _GLASS,
    )
    pen.poly(((-0.1, waist), (-0.1, tall - 0.12), (front - 0.5, tall - 0.12), (front - 0.02, waist)), _GLASS)
    pen.poly(((0.1, waist), (0.3, tall - 0.12), (0.42, tall - 0.12), (0.22, waist)), _SHINE)
    pen.box(-0.2, 0.4, -0.16, waist, dark, False)
    pen.box(1.76, 0.54, 1.94, 0.7, _HEADLAMP)
    pen.box(-1.94, 0.56, -1.78, 0.74, _TAILLAMP)
    _wheel(pen, -1.2, 0.37)
    _wheel(pen, 1.2, 0.37)


def car_ahead(pen: Pen, look: tuple[float, ...], rear: bool) -> None:
    """A car from behind or from the front, 1.9 m wide."""
    paint = choose(_PAINTS, look[0])
    dark, bright = shade(paint, 0.72), mix(paint, (255, 255, 255), 0.28)
    tall = 1.42 + 0.26 * look[1]
    pen.box(-0.88, 0.0, -0.56, 0.5, _TYRE)
    pen.box(0.56, 0.0, 0.88, 0.5, _TYRE)
    pen.poly(
        ((-0.84, 0.8), (-0.62, tall - 0.06), (-0.5, tall), (0.5, tall), (0.62, tall - 0.06), (0.84, 0.8)),
        dark,
    )
    pen.poly(
        (
            (-0.94, 0.3),
            (-0.96, 0.74),
            (-0.84, 0.94),
            (0.84, 0.94),
            (0.96, 0.74),
            (0.94, 0.3),
            (0.8, 0.2),
            (-0.8, 0.2),
        ),
        paint,
    )
    pen.poly(((-0.7, 0.92), (-0.54, tall - 0.12), (0.54, tall - 0.12), (0.7, 0.92)), _GLASS)
    pen.poly(((-0.4, 0.92), (-0.2, tall - 0.12), (0.02, tall - 0.12), (-0.18, 0.92)), _SHINE, False)
    pen.box(-0.84, 0.84, 0.84, 0.92, bright)
    pen.box(-0.92, 0.24, 0.92, 0.38, dark)
    lamp = _TAILLAMP if rear else _HEADLAMP
    pen.box(-0.9, 0.56, -0.52, 0.78, lamp)
    pen.box(0.52, 0.56, 0.9, 0.78, lamp)
    if rear:
        pen.box(-0.28, 0.46, 0.28, 0.62, (238, 238, 228), False)
    else:
        pen.box(-0.44, 0.44, 0.44, 0.7, (46, 48, 54), False)


def bus(pen: Pen, look: tuple[float, ...]) -> None:
    """A bus from the side, 6.2 m long and 2.7 m high."""
    paint = choose(_LIVERIES, look[0])
    roof = mix(paint, (250, 250, 246), 0.85) if look[1] < 0.5 else shade(paint, 0.85)
    pen.poly(
        ((-3.1, 0.3), (-3.1, 2.55), (-2.95, 2.7), (2.8, 2.7), (3.02, 2.5), (3.1, 1.2), (3.1, 0.3)), paint
    )
    pen.poly(((-3.1, 2.3), (-3.1, 2.55), (-2.95, 2.7), (2.8, 2.7), (3.02, 2.5), (3.04, 2.3)), roof)
    pen.box(-3.1, 0.3, 3.1, 0.52, shade(paint, 0.62))
    pen.box(-3.1, 0.86, 3.1, 1.02, mix(paint, (255, 255, 255), 0.6))
    for i in range(5):
        x = -2.9 + i * 0.94
        pen.box(x, 1.24, x + 0.8, 2.16, _GLASS, False)
        pen.poly(
            ((x + 0.12, 1.24), (x + 0.42, 2.16), (x + 0.62, 2.16), (x + 0.32, 1.24)),
            mix(_GLASS, _SHINE, 0.45),
            False,
        )
    pen.box(1.9, 0.5, 2.5, 2.16, shade(_GLASS, 0.8), False)
    pen.box(2.17, 0.5, 2.22, 2.16, paint, False)
    pen.poly(((2.68, 1.24), (2.68, 2.2), (3.04, 2.2), (3.1, 1.24)), _SHINE)
    pen.box(2.94, 0.55, 3.1, 0.74, _HEADLAMP)
    pen.box(-3.1, 0.55, -2.98, 0.8, _TAILLAMP)
    _wheel(pen, -1.95, 0.46)
    _wheel(pen, 1.5, 0.46)


def bus_ahead(pen: Pen, look: tuple[float, ...], rear: bool) -> None:
    """A bus from behind or from the front, 2.4 m wide."""
    paint = choose(_LIVERIES, look[0])
    pen.box(-1.1, 0.0, -0.7, 0.5, _TYRE)
    pen.box(0.7, 0.0, 1.1, 0.5, _TYRE)
    pen.poly(((-1.2, 0.22), (-1.22, 2.5), (-1.02, 2.78), (1.02, 2.78), (1.22, 2.5), (1.2, 0.22)), paint)
    pen.box(-1.2, 0.22, 1.2, 0.46, shade(paint, 0.62))
    pen.box(-0.8, 2.42, 0.8, 2.68, (36, 38, 42), False)
    pen.box(-0.62, 2.48, 0.62, 2.62, (250, 190, 70), False)
    low = 1.5 if rear else 1.08
    pen.box(-1.06, low, 1.06, 2.34, _GLASS, False)
    pen.poly(((-0.7, low), (-0.3, 2.34), (0.05, 2.34), (-0.35, low)), _SHINE, False)
    lamp = _TAILLAMP if rear else _HEADLAMP
    pen.box(-1.1, 0.58, -0.72, 0.84, lamp)
    pen.box(0.72, 0.58, 1.1, 0.84, lamp)
    pen.box(-1.2, 0.94, 1.2, 1.02, mix(paint, (255, 255, 255), 0.6))
    if rear:
        pen.box(-0.5, 0.56, 0.5, 0.86, shade(paint, 0.5), False)


def motorcycle(pen: Pen, look: tuple[float, ...]) -> None:
    """A parked motorcycle from the side, 2.2 m long."""
    paint = choose(_PAINTS, look[0])
    frame: Color = (58, 60, 66)
    pen.limb(0.82, 0.4, 0.52, 1.12, 0.15, (150, 154, 160))
    _wheel(pen, -0.78, 0.41)
    _wheel(pen, 0.82, 0.41)
    pen.poly(((-0.62, 0.3), (-0.46, 0.72), (0.46, 0.76), (0.5, 0.34), (0.28, 0.2), (-0.4, 0.2)), frame)
    pen.disc(0.02, 0.44, 0.25, 0.22, (124, 128, 134), False)
    pen.limb(-0.2, 0.26, -1.0, 0.34, 0.14, (176, 180, 186))
    pen.poly(((-0.12, 0.68), (-0.05, 0.96), (0.4, 1.04), (0.58, 0.8), (0.44, 0.66)), paint)
    pen.poly(((-0.02, 0.9), (0.0, 0.97), (0.4, 1.04), (0.47, 0.94)), mix(paint, (255, 255, 255), 0.35))
    pen.poly(((-1.12, 0.94), (-1.1, 0.8), (-0.5, 0.66), (0.02, 0.7), (0.0, 0.9), (-0.5, 0.86)), (44, 40, 42))
    pen.poly(((-1.14, 0.72), (-1.05, 0.86), (-0.52, 0.76), (-0.56, 0.64)), paint)
    pen.disc(0.68, 0.98, 0.15, 0.15, _HEADLAMP)
    pen.limb(0.52, 1.12, 0.26, 1.22, 0.1, (50, 50, 54))
    if look[1] < 0.4:
        pen.poly(((0.52, 0.98), (0.5, 1.4), (0.6, 1.42), (0.8, 1.06)), (176, 200, 214))

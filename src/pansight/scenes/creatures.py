"""People and animals."""

from pansight.scenes.color import Color, choose, mix, shade
from pansight.scenes.sketch import Pen

_SKINS: tuple[Color, ...] = ((244, 208, 176), (226, 178, 140), (186, 132, 94), (132, 88, 62), (96, 64, 48))
_HAIRS: tuple[Color, ...] = ((48, 36, 32), (96, 62, 38), (176, 130, 66), (128, 128, 128), (148, 68, 40))
_CLOTHES: tuple[Color, ...] = (
    (206, 62, 64),
    (52, 108, 178),
    (242, 196, 76),
    (238, 236, 228),
    (66, 148, 112),
    (140, 84, 160),
    (234, 132, 62),
    (232, 140, 164),
)
_TROUSERS: tuple[Color, ...] = ((52, 62, 92), (64, 62, 66), (112, 92, 72), (88, 104, 132), (44, 44, 50))
_COATS: tuple[tuple[Color, Color], ...] = (
    ((240, 236, 228), (50, 44, 42)),
    ((236, 226, 212), (150, 84, 48)),
    ((150, 88, 52), (234, 220, 200)),
    ((58, 50, 48), (58, 50, 48)),
)


def _swing(phase: float) -> float:
    """A smooth wave of period 1 in [-1, 1]."""
    u = abs(phase % 1.0 - 0.5) * 2.0
    return 2.0 * u * u * (3.0 - 2.0 * u) - 1.0


def person(pen: Pen, look: tuple[float, ...], phase: float) -> None:
    """A walking person, 1.8 m high; one step every 1.0 of `phase`."""
    skin, hair = choose(_SKINS, look[0]), choose(_HAIRS, look[1])
    top, trousers = choose(_CLOTHES, look[2]), choose(_TROUSERS, look[3])
    step = 0.3 * _swing(phase)
    dress = look[4] < 0.25
    pen.limb(-0.26, 1.34, -0.3 + step, 0.86, 0.15, shade(top, 0.72))
    legs = skin if dress else trousers
    pen.limb(-0.04, 0.86, -step, 0.12, 0.2, shade(legs, 0.78))
    pen.limb(0.04, 0.86, step, 0.12, 0.2, legs)
    shoe: Color = (56, 46, 44) if look[5] < 0.6 else (224, 222, 216)
    pen.box(-step - 0.11, 0.0, -step + 0.2, 0.13, shade(shoe, 0.85))
    pen.box(step - 0.11, 0.0, step + 0.2, 0.13, shoe)
    if dress:
        pen.poly(((-0.24, 1.0), (-0.42, 0.46), (0.42, 0.46), (0.24, 1.0)), top)
    if look[6] < 0.3:
        pen.poly(((-0.46, 0.92), (-0.46, 1.38), (-0.2, 1.44), (-0.2, 0.9)), choose(_CLOTHES, look[7]))
    pen.poly(((-0.25, 0.8), (-0.29, 1.34), (-0.17, 1.47), (0.17, 1.47), (0.29, 1.34), (0.25, 0.8)), top)
    pen.poly(
        ((0.06, 0.8), (0.1, 1.47), (0.17, 1.47), (0.29, 1.34), (0.25, 0.8)),
        mix(top, (255, 255, 255), 0.16),
        False,
    )
    pen.limb(0.2, 1.36, 0.24 - step, 0.9, 0.15, shade(top, 0.88))
    pen.disc(0.24 - step, 0.85, 0.09, 0.09, skin)
    pen.box(-0.07, 1.42, 0.08, 1.56, shade(skin, 0.86))
    pen.disc(0.03, 1.65, 0.17, 0.18, skin)
    if look[8] < 0.25:
        hat = choose(_CLOTHES, look[9])
        pen.disc(-0.01, 1.75, 0.19, 0.12, hat)
        pen.box(-0.04, 1.7, 0.3, 1.76, shade(hat, 0.8))
    else:
        pen.disc(-0.05, 1.73, 0.18, 0.13, hair)
        if look[8] > 0.6:
            pen.disc(-0.15, 1.58, 0.1, 0.2, hair)


def cow(pen: Pen, look: tuple[float, ...], phase: float) -> None:
    """A cow, 2.2 m long and 1.5 m high, grazing or looking up."""
    coat, patch = choose(_COATS, look[0])
    step = 0.1 * _swing(phase)
    back_legs = shade(coat, 0.72)
    for x, lift in ((-0.62, step), (0.5, -step)):
        pen.poly(((x - 0.15, 0.8), (x - 0.1 + lift, 0.0), (x + 0.1 + lift, 0.0), (x + 0.15, 0.8)), back_legs)
    pen.limb(-0.98, 1.22, -1.08, 0.62, 0.09, shade(coat, 0.8))
    pen.poly(
        ((-1.0, 0.78), (-1.06, 1.2), (-0.92, 1.4), (0.5, 1.36), (0.82, 1.26), (0.9, 0.86), (0.6, 0.62),
         (-0.4, 0.56), (-0.82, 0.62)),
        coat,
    )  # fmt: skip
    for x, lift in ((-0.84, -step), (0.68, step)):
        pen.poly(((x - 0.16, 0.8), (x - 0.1 + lift, 0.0), (x + 0.11 + lift, 0.0), (x + 0.16, 0.8)), coat)
        pen.box(x - 0.1 + lift, 0.0, x + 0.11 + lift, 0.12, (64, 56, 52))
    pen.poly(
        ((-1.0, 0.8), (-0.82, 0.64), (-0.4, 0.58), (0.6, 0.64), (0.7, 0.74), (-0.5, 0.72)),
        shade(coat, 0.8),
    )
    pen.disc(-0.55, 1.1, 0.3, 0.2 + 0.06 * look[1], patch, False)
    pen.disc(0.12 + 0.2 * look[2], 1.08, 0.26, 0.2, patch, False)
    if look[3] < 0.45:  # grazing
        pen.poly(((0.56, 1.28), (0.78, 1.26), (1.2, 0.6), (0.92, 0.5), (0.62, 0.9)), coat)
        pen.poly(((0.9, 0.62), (1.2, 0.66), (1.36, 0.22), (1.22, 0.1), (1.06, 0.14)), patch)
        pen.disc(1.24, 0.18, 0.13, 0.12, (226, 168, 154))
        pen.limb(0.98, 0.64, 0.8, 0.6, 0.1, patch)
    else:
        pen.poly(((0.4, 1.34), (0.86, 1.62), (1.08, 1.4), (0.84, 0.96)), coat)
        pen.poly(((0.78, 1.64), (1.02, 1.66), (1.4, 1.34), (1.32, 1.18), (0.94, 1.28)), patch)
        pen.disc(1.32, 1.27, 0.13, 0.12, (226, 168, 154))
        pen.limb(0.84, 1.6, 0.66, 1.54, 0.1, patch)
        pen.limb(0.9, 1.64, 0.96, 1.8, 0.07, (228, 218, 190))


def sheep(pen: Pen, look: tuple[float, ...], phase: float) -> None:
    """A sheep, 1.5 m long and 1.05 m high."""
    wool = mix((246, 242, 232), (214, 200, 176), look[0])
    face: Color = (52, 46, 48) if look[1] < 0.65 else (232, 214, 194)
    step = 0.07 * _swing(phase)
    for x, lift in ((-0.38, step), (-0.24, -step), (0.3, step), (0.44, -step)):
        pen.box(x - 0.07 + lift, 0.0, x + 0.07 + lift, 0.5, face)
    lobes = (
        (-0.52, 0.62, 0.25),
        (0.46, 0.64, 0.25),
        (-0.3, 0.84, 0.24),
        (0.02, 0.9, 0.25),
        (0.32, 0.85, 0.23),
        (-0.22, 0.5, 0.24),
        (0.2, 0.5, 0.24),
    )
    for x, y, r in lobes:
        pen.disc(x, y, r, r, shade(wool, 0.86))
    pen.disc(0.0, 0.66, 0.52, 0.26, shade(wool, 0.86))
    for x, y, r in lobes[:5]:
        pen.disc(x, y + 0.05, 0.76 * r, 0.7 * r, wool)
    pen.disc(0.0, 0.74, 0.42, 0.2, wool)
    low = 0.34 if look[2] < 0.4 else 0.0
    pen.disc(0.68, 0.84 - low, 0.17, 0.15, face)
    pen.disc(0.8, 0.77 - low, 0.13, 0.1, face)
    pen.disc(0.54, 0.88 - low, 0.12, 0.06, shade(face, 0.8))
    pen.disc(0.64, 0.98 - low, 0.13, 0.09, wool)


def bird(pen: Pen, look: tuple[float, ...], phase: float) -> None:
    """A flying bird, 1 unit long, its middle at the origin."""
    coat = choose(((244, 244, 244), (58, 56, 64), (70, 110, 168), (172, 78, 60), (224, 206, 168)), look[0])
    wing = shade(coat, 0.74) if sum(coat) > 300 else shade(coat, 1.5)
    flap = _swing(phase)
    pen.poly(((-0.28, 0.07), (-0.56, 0.16), (-0.54, -0.04), (-0.26, -0.06)), shade(wing, 0.85))
    tip = 0.46 * flap
    pen.poly(
        ((-0.16, 0.04), (-0.14, 0.3 * flap), (-0.3, tip * 1.25), (0.12, 0.75 * tip), (0.24, 0.06)),
        shade(wing, 0.8),
    )
    pen.disc(0.0, 0.0, 0.35, 0.15, coat)
    pen.disc(0.3, 0.08, 0.135, 0.125, coat)
    pen.poly(((0.38, 0.12), (0.54, 0.05), (0.38, 0.01)), (240, 168, 52))
    pen.disc(0.33, 0.09, 0.025, 0.025, (24, 24, 24), False)
    pen.poly(
        (
            (-0.24, 0.08),
            (-0.28, 0.28 * flap),
            (-0.46, tip * 1.1 + 0.04),
            (-0.04, 0.84 * tip + 0.02),
            (0.22, 0.0),
        ),
        wing,
    )

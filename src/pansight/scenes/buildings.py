"""Houses, from the front and along a street."""

from pansight.scenes.color import Color, choose, mix, shade
from pansight.scenes.light import Light
from pansight.scenes.sketch import Pen, Point
from pansight.scenes.world import Facade, View

_WALLS: tuple[Color, ...] = (
    (198, 120, 92),
    (222, 190, 148),
    (178, 92, 80),
    (206, 206, 198),
    (158, 150, 162),
    (232, 214, 176),
    (148, 166, 182),
    (214, 160, 112),
    (190, 138, 140),
)
_ROOFS: tuple[Color, ...] = ((128, 62, 52), (84, 74, 78), (150, 84, 60), (72, 82, 98))
_GLASS: Color = (84, 108, 132)
_LAMP: Color = (255, 222, 140)


def house(pen: Pen, look: tuple[float, ...], light: Light) -> None:
    """A house that faces the viewer, 4.8 m wide; look[0] decides its height (1 = about 5 m)."""
    wall, roof = choose(_WALLS, look[1]), choose(_ROOFS, look[2])
    floors = max(1, min(6, int(look[0] * 3.2 + 0.5)))
    top = 0.35 + 1.45 * floors
    w = 2.4
    pen.box(-w, -0.05, w, top, wall)
    lit = 1 if light.side > 0 else -1
    pen.poly(
        ((-lit * w, 0), (-lit * w, top), (-lit * 0.62 * w, top), (-lit * 0.62 * w, 0)),
        shade(wall, 0.9),
        False,
    )
    if look[3] < 0.55:
        rise = 0.8 + 0.9 * look[4]
        pen.poly(
            (
                (-w - 0.22, top - 0.05),
                (-0.55 * w, top + rise),
                (0.55 * w, top + rise),
                (w + 0.22, top - 0.05),
            ),
            roof,
        )
        pen.poly(
            ((0, top - 0.05), (0, top + rise), (lit * 0.55 * w, top + rise), (lit * (w + 0.22), top - 0.05)),
            shade(roof, 1.12),
            False,
        )
        if look[5] < 0.5:
            pen.box(0.25 * w, top + 0.3 * rise, 0.42 * w, top + rise + 0.45, shade(wall, 0.75))
    else:
        pen.box(-w - 0.1, top - 0.02, w + 0.1, top + 0.28, shade(wall, 0.72))
    columns = 3 if look[6] < 0.6 else 4
    shop = floors > 1 and look[7] < 0.5
    pane = mix(_GLASS, light.zenith, 0.35)
    k = 0
    for row in range(floors):
        y = 0.5 + 1.45 * row
        if row == 0 and shop:
            pen.box(-w, 1.22, w, 1.5, choose(_ROOFS, look[8]), False)
            pen.box(-w + 0.3, 0.18, -0.1, 1.2, pane, False)
            pen.box(0.9, 0.18, w - 0.3, 1.2, pane, False)
            continue
        for column in range(columns):
            x = -w + 2 * w * (column + 0.5) / columns
            k += 1
            on = (look[9] * 97.0 + k * 0.618) % 1.0 < light.lit
            pen.box(x - 0.4, y - 0.07, x + 0.4, y + 0.87, shade(wall, 1.16), False)
            pen.box(x - 0.32, y, x + 0.32, y + 0.8, _LAMP if on else pane, False)
    x = 0.38 if shop else -w + 2 * w * (int(look[10] * columns) + 0.5) / columns
    pen.box(x - 0.38, 0.0, x + 0.38, 1.15, shade(roof, 0.62), False)


def facade(view: View, row: Facade, light: Light) -> Pen:
    """A house of a street that runs away from the viewer: its street side in perspective and its end wall."""
    world = view.world
    wall = choose(_WALLS, row.look[0])
    bright = 1.04 if (row.offset < 0) == (light.side > 0) else 0.84
    pen = Pen(0.0, 0.0, 1.0, 1, light.haze, light.thickness * 0.75 * max(0.0, 1 - row.near) ** 2)

    def corner(depth: float, level: float) -> Point:
        # canvas rows grow downwards while the pen's y grows upwards
        rise = row.height * 0.92 * depth * level * view.unit * min(1.0, world.height - world.horizon + 0.3)
        return view.x(world_x(depth), depth), -(view.y(depth) - rise)

    def world_x(depth: float) -> float:
        return row.vanish + row.offset * depth

    outward = view.unit * 3.0 * (1 if row.offset > 0 else -1) * world.width
    foot, top = corner(row.near, 0.0), corner(row.near, 1.0)
    pen.poly(
        (foot, top, (foot[0] + outward, top[1]), (foot[0] + outward, foot[1])), shade(wall, 1.88 - bright)
    )
    pen.poly((foot, top, corner(row.far, 1.0), corner(row.far, 0.0)), shade(wall, bright))
    cornice = shade(wall, bright * 0.75)
    pen.poly((corner(row.near, 0.96), top, corner(row.far, 1.0), corner(row.far, 0.96)), cornice)
    floors = 2 + int(row.height * 2.2)
    columns = 2 + int(row.look[1] * 2.2)
    pane = mix(_GLASS, light.zenith, 0.35)
    seen_near = min(row.near, 1.25)
    if seen_near < row.far:
        return pen
    for i in range(columns):
        a, b = (i + 0.25) / columns, (i + 0.78) / columns
        # equal steps along the street are equal steps of 1 / depth
        da = 1.0 / ((1 - a) / row.near + a / row.far)
        db = 1.0 / ((1 - b) / row.near + b / row.far)
        if db > 1.2:
            continue
        for j in range(floors):
            low, high = 0.06 + 0.88 * (j + 0.22) / floors, 0.06 + 0.88 * (j + 0.8) / floors
            on = (row.look[2] * 89.0 + (i * floors + j) * 0.618) % 1.0 < light.lit
            color = _LAMP if on else pane
            if j == 0:
                low, color = 0.0, mix(pane, choose(_ROOFS, row.look[3]), 0.5)
            pen.poly((corner(da, low), corner(da, high), corner(db, high), corner(db, low)), color)
    return pen

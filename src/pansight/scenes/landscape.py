"""The ground and the hills: what lies flat or far away."""

from pansight.scenes.color import Color, mix, shade
from pansight.scenes.sketch import Pen
from pansight.scenes.world import Ground, Ridge, View

SIDEWALK: Color = (196, 186, 174)
ROAD: Color = (92, 93, 100)


def ground_color(category: str, view: View) -> Color:
    """Colour of a kind of ground under neutral light."""
    light = view.world.light
    if category == "grass":
        return view.world.grass
    if category == "road":
        return ROAD
    if category == "sidewalk":
        return SIDEWALK
    return mix(mix(light.zenith, (28, 92, 120), 0.5), (30, 62, 84), 0.15)


def ridge(item: Ridge, view: View) -> Pen:
    """A chain of hills, with snow on its tops where it is high enough."""
    world = view.world
    pen = Pen(0.0, world.horizon * view.unit, 1.0)
    shift = -0.3 * view.pan
    outline = [((x + shift) * view.unit, y * view.unit) for x, y in item.outline]
    pen.poly([(outline[0][0], -2.0), *outline, (outline[-1][0], -2.0)], item.color)
    lit = world.light.side
    shadow = shade(item.color, 0.88)
    for k in range(1, len(outline) - 1):
        (x0, y0), (x1, y1), (x2, y2) = outline[k - 1 : k + 2]
        if y1 > y0 and y1 > y2:
            # the flank of a peak that is turned away from the light
            far = (x0, y0) if lit > 0 else (x2, y2)
            pen.poly(((x1, y1), far, (0.5 * (far[0] + x1), 0.45 * min(far[1], y1))), shadow)
            if y1 > item.snow * view.unit:
                low = item.snow * view.unit
                if y0 < low and y2 < low:
                    left = x1 - (x1 - x0) * (y1 - low) / (y1 - y0)
                    right = x1 + (x2 - x1) * (y1 - low) / (y1 - y2)
                    mid = 0.35 * (y1 - low)
                    snow = mix((250, 250, 255), item.color, 0.12)
                    pen.poly(
                        ((x1, y1), (left, low), (0.6 * left + 0.4 * x1, low + mid), (x1, low),
                         (0.6 * right + 0.4 * x1, low + mid), (right, low)),
                        snow,
                    )  # fmt: skip
    return pen


def ground(piece: Ground, view: View) -> Pen:
    """A piece of the ground with its marks."""
    color = ground_color(piece.category, view)
    return _lane(piece, view, color) if piece.form == "lane" else _band(piece, view, color)


def _band(piece: Ground, view: View, color: Color) -> Pen:
    pen = Pen(0.0, 0.0, 1.0)
    edge = [(view.x(x, depth), -view.y(depth)) for x, depth in piece.edge]
    bottom = -view.y(1.0) - 4.0
    pen.poly([*edge, (edge[-1][0] + view.unit, bottom), (edge[0][0] - view.unit, bottom)], color)
    if len(edge) == 2:
        _band_marks(piece, view, pen, color)
    else:
        thick = 0.006 * view.unit
        rim = mix(color, (214, 196, 150), 0.55) if piece.category == "grass" else shade(color, 1.12)
        pen.poly([*edge, *((x, y - thick) for x, y in reversed(edge))], rim)
    return pen


def _band_marks(piece: Ground, view: View, pen: Pen, color: Color) -> None:
    """Kerb, lane line and slabs of straight bands."""
    (x0, d0), (x1, d1) = piece.edge
    width = view.world.width

    def strip(depth: float, thick: float, tone: Color, start: float = -0.3, end: float = 9.0) -> None:
        a, b = depth + d0 - piece.far, depth + d1 - piece.far
        u0, u1 = max(0.0, (start - x0) / (x1 - x0)), min(1.0, (end - x0) / (x1 - x0))
        low, high = a + (b - a) * u0, a + (b - a) * u1
        left, right = x0 + (x1 - x0) * u0, x0 + (x1 - x0) * u1
        pen.poly(
            ((view.x(left, low), -view.y(low)), (view.x(right, high), -view.y(high)),
             (view.x(right, high), -view.y(high + thick)), (view.x(left, low), -view.y(low + thick))),
            tone,
        )  # fmt: skip

    if piece.category == "road":
        strip(piece.far, 0.012, (206, 202, 196))
        if piece.marked:
            middle = piece.far + 0.5 * (piece.near - piece.far)
            step = 0.5 * (0.4 + middle)
            x = -0.3 + 0.37 * step
            while x < width + 0.3:
                strip(middle, 0.022, (236, 232, 216), x, x + 0.5 * step)
                x += step
    elif piece.category == "sidewalk":
        joint = shade(color, 0.84)
        depth, gap = piece.far + 0.05, 0.05
        while depth < min(piece.near, 1.0):
            strip(depth, 0.005 + 0.003 * depth, joint)
            gap *= 1.25
            depth += gap
        middle = 0.5 * width
        count = int(width * 9)
        for k in range(-count, count + 1):
            u = 0.16 * k
            far, near = piece.far, min(piece.near, 1.02)
            points = [
                (middle + u * (0.35 + d) + o, d)
                for d, o in ((far, 0), (near, 0), (near, 0.006), (far, 0.004))
            ]
            if -0.1 < points[0][0] < width + 0.1 or -0.1 < points[1][0] < width + 0.1:
                pen.poly([(view.x(x, d), -view.y(d)) for x, d in points], joint)


def _lane(piece: Ground, view: View, color: Color) -> Pen:
    pen = Pen(0.0, 0.0, 1.0)

    def at(offset: float, depth: float) -> tuple[float, float]:
        return view.x(piece.vanish + offset * depth, depth), -view.y(depth)

    def strip(left: float, right: float, far: float, near: float, tone: Color) -> None:
        pen.poly((at(left, far), at(right, far), at(right, near), at(left, near)), tone)

    strip(piece.left, piece.right, 0.0, 1.03, color)
    wide = piece.right - piece.left
    if piece.category == "road":
        line: Color = (230, 226, 210)
        strip(piece.left + 0.035 * wide, piece.left + 0.052 * wide, 0.0, 1.03, mix(color, line, 0.7))
        strip(piece.right - 0.052 * wide, piece.right - 0.035 * wide, 0.0, 1.03, mix(color, line, 0.7))
        if piece.marked:
            middle = 0.5 * (piece.left + piece.right)
            depth = 0.06
            while depth < 1.0:
                strip(middle - 0.011 * wide, middle + 0.011 * wide, depth, depth * 1.22, line)
                depth *= 1.5
    elif piece.category == "sidewalk":
        depth = 0.1
        while depth < 1.0:
            strip(piece.left, piece.right, depth, depth * 1.012, shade(color, 0.84))
            depth *= 1.16
    return pen

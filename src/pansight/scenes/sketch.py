"""Drawings as lists of flat shapes, so that one description serves the image, the truth and the shadow."""

from collections.abc import Iterable, Sequence

from PIL import ImageDraw

from pansight.scenes.color import Color, mix

POLYGON, ELLIPSE, RECTANGLE = 0, 1, 2

Real = float | int
"""Shapes are written with either; checks at run time tell them apart."""
Point = tuple[Real, Real]
Shape = tuple[int, list[float], Color, bool]
"""(kind, canvas coordinates x0 y0 x1 y1 ..., colour, whether it is part of the outline)."""


class Pen:
    """Draws in metres, x to the front and y upwards, into canvas pixels, x to the right and y downwards.

    Args:
        x, y: where the object's foot lies on the canvas.
        scale: canvas pixels a metre.
        facing: 1 when the object looks to the right, -1 when it looks to the left.
        haze, fade: colour of the air and how much of it (0..1) lies between the object and the eye.
    """

    __slots__ = ("fade", "haze", "scale", "shapes", "sx", "x", "y")

    def __init__(
        self, x: float, y: float, scale: float, facing: int = 1, haze: Color = (0, 0, 0), fade: float = 0.0
    ) -> None:
        self.x, self.y = x, y
        self.scale = scale
        self.sx = scale * facing
        self.haze, self.fade = haze, fade
        self.shapes: list[Shape] = []

    def poly(self, points: Iterable[Point], fill: Color, solid: bool = True) -> None:
        """A polygon. A shape that is not solid must lie inside solid ones: the truth skips it."""
        coordinates: list[float] = []
        for px, py in points:
            coordinates.append(self.x + self.sx * px)
            coordinates.append(self.y - self.scale * py)
        self.shapes.append((POLYGON, coordinates, mix(fill, self.haze, self.fade), solid))

    def disc(self, cx: Real, cy: Real, rx: Real, ry: Real, fill: Color, solid: bool = True) -> None:
        """An ellipse with upright axes."""
        x, y = self.x + self.sx * cx, self.y - self.scale * cy
        a, b = self.scale * rx, self.scale * ry
        self.shapes.append((ELLIPSE, [x - a, y - b, x + a, y + b], mix(fill, self.haze, self.fade), solid))

    def box(self, x0: Real, y0: Real, x1: Real, y1: Real, fill: Color, solid: bool = True) -> None:
        """A rectangle; y0 below y1."""
        left, right = self.x + self.sx * x0, self.x + self.sx * x1
        if left > right:
            left, right = right, left
        corners = [left, self.y - self.scale * y1, right, self.y - self.scale * y0]
        self.shapes.append((RECTANGLE, corners, mix(fill, self.haze, self.fade), solid))

    def limb(
        self, x0: Real, y0: Real, x1: Real, y1: Real, width: float, fill: Color, solid: bool = True
    ) -> None:
        """A bar of even width with a round end at (x1, y1)."""
        dx, dy = x1 - x0, y1 - y0
        length = max((dx * dx + dy * dy) ** 0.5, 1e-6)
        nx, ny = -dy / length * width / 2, dx / length * width / 2
        self.poly(
            ((x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)), fill, solid
        )
        self.disc(x1, y1, width / 2, width / 2, fill, solid)


def paint(draw: ImageDraw.ImageDraw, shapes: Sequence[Shape]) -> None:
    """Draw all shapes in their colours on an RGB canvas."""
    for kind, xy, color, _ in shapes:
        if kind == POLYGON:
            draw.polygon(xy, fill=color)
        elif kind == ELLIPSE:
            draw.ellipse(xy, fill=color)
        else:
            draw.rectangle(xy, fill=color)


def stamp(draw: ImageDraw.ImageDraw, shapes: Sequence[Shape], code: int) -> None:
    """Draw the outline with one value on an 8-bit canvas; covers exactly what `paint` covers."""
    for kind, xy, _, solid in shapes:
        if not solid:
            continue
        if kind == POLYGON:
            draw.polygon(xy, fill=code)
        elif kind == ELLIPSE:
            draw.ellipse(xy, fill=code)
        else:
            draw.rectangle(xy, fill=code)


def stamp_moved(
    draw: ImageDraw.ImageDraw, shapes: Sequence[Shape], matrix: tuple[float, ...], code: int
) -> None:
    """`stamp` under the affine map (x, y) -> (a x + b y + c, d x + e y + f), matrix = (a, b, c, d, e, f).

    Ellipses keep upright axes: their centre is mapped and their size follows the diagonal.
    """
    a, b, c, d, e, f = matrix
    for kind, xy, _, solid in shapes:
        if not solid:
            continue
        if kind == ELLIPSE:
            x, y = (xy[0] + xy[2]) / 2, (xy[1] + xy[3]) / 2
            rx, ry = abs(a) * (xy[2] - xy[0]) / 2, max(abs(e), 0.2 * abs(b)) * (xy[3] - xy[1]) / 2
            x, y = a * x + b * y + c, d * x + e * y + f
            draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=code)
            continue
        if kind == RECTANGLE:
            left, top, right, bottom = xy
            xy = [left, top, right, top, right, bottom, left, bottom]
        moved: list[float] = []
        for i in range(0, len(xy), 2):
            moved.append(a * xy[i] + b * xy[i + 1] + c)
            moved.append(d * xy[i] + e * xy[i + 1] + f)
        draw.polygon(moved, fill=code)


def bounds(shapes: Sequence[Shape]) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1) of the outline in canvas pixels."""
    xs: list[float] = []
    ys: list[float] = []
    for _, xy, _, solid in shapes:
        if solid:
            xs += xy[::2]
            ys += xy[1::2]
    return min(xs), min(ys), max(xs), max(ys)

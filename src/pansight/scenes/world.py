"""What a scene consists of, before anything is drawn.

Lengths are in *spans*: one span is the shorter side of the image. A place on the ground is (x, depth): x in
spans from the left border, depth 0 at the horizon and 1 at the lower border of the image.
"""

from dataclasses import dataclass

from pansight.scenes.color import Color
from pansight.scenes.light import Light

FAR_SCALE, NEAR_SCALE = 0.047, 0.165
"""Spans a metre at depth 0 and 1. Far things are larger than in true perspective, to stay legible."""


def spans_per_metre(depth: float) -> float:
    """How large a metre looks at a depth."""
    return FAR_SCALE + (NEAR_SCALE - FAR_SCALE) * depth


@dataclass(frozen=True, slots=True)
class Item:
    """Something that stands on the ground, swims or flies, drawn by the form of that name.

    Attributes:
        category: name of its category; form: name of its drawing.
        x: place of its foot in spans; depth: see above. Below 0 it is in the sky: -depth is then the share of
            the sky's height, from the top.
        scale: factor on its natural size; facing: 1 = to the right.
        look: random numbers in [0, 1) that decide colours and build.
        speed: metres a frame along x (in the sky: spans a frame); approach: relative growth of depth a frame.
    """

    category: str
    form: str
    x: float
    depth: float
    scale: float
    facing: int
    look: tuple[float, ...]
    speed: float = 0.0
    approach: float = 0.0


@dataclass(frozen=True, slots=True)
class Ground:
    """A piece of the ground.

    form "band" lies across the image from its far edge, a polyline of (x, depth), down to the lower border,
    where later pieces cover it; "lane" runs from the vanishing point, x = `vanish`, to between `left` and
    `right` of it at depth 1. `near` is the depth where a band ends visibly (for its marks).
    """

    category: str
    form: str
    edge: tuple[tuple[float, float], ...] = ()
    near: float = 1.0
    vanish: float = 0.0
    left: float = 0.0
    right: float = 0.0
    marked: bool = False

    @property
    def far(self) -> float:
        """Smallest depth of a band's far edge."""
        return min(depth for _, depth in self.edge) if self.edge else 0.0


@dataclass(frozen=True, slots=True)
class Ridge:
    """A chain of hills: outline (x, height over the horizon), colour, height of the snow line; in spans."""

    outline: tuple[tuple[float, float], ...]
    color: Color
    snow: float


@dataclass(frozen=True, slots=True)
class Facade:
    """A house of a row along a lane; its street side is x = vanish + offset * depth, `near` to `far`."""

    vanish: float
    offset: float
    near: float
    far: float
    height: float
    look: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Lens:
    """What the camera adds.

    Attributes:
        noise: standard deviation in grey levels; blur: pixels, in an image whose shorter side has 256.
        vignette: loss of light in the corners, 0..1; grain: where textures and noise are taken from.
        drift: movement of the camera to the right, spans a frame.
    """

    noise: float
    blur: float
    vignette: float
    grain: int
    drift: float


@dataclass(frozen=True, slots=True)
class World:
    """A whole scene at time 0. `width` and `height` in spans, `horizon` in spans from the top."""

    width: float
    height: float
    horizon: float
    light: Light
    base: str
    grass: Color
    ridges: tuple[Ridge, ...]
    grounds: tuple[Ground, ...]
    facades: tuple[Facade, ...]
    items: tuple[Item, ...]
    lens: Lens


@dataclass(frozen=True, slots=True)
class View:
    """The camera at one moment: maps the world to canvas pixels.

    Attributes:
        unit: canvas pixels a span; pan: how far the camera has moved to the right, in spans at depth 1.
    """

    world: World
    unit: float
    pan: float
    frame: int

    def x(self, x: float, depth: float) -> float:
        """Canvas column of a place on the ground; the pan moves near places more than far ones."""
        return (x - self.pan * (0.3 + 0.7 * depth)) * self.unit

    def y(self, depth: float) -> float:
        """Canvas row of a depth on the ground."""
        world = self.world
        return (world.horizon + (world.height - world.horizon) * depth) * self.unit

    def metre(self, depth: float) -> float:
        """Canvas pixels a metre at a depth."""
        return spans_per_metre(depth) * self.unit

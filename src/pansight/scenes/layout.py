"""Sampling a world: the frame, the light, far hills, and then one of the places."""

from pansight.scenes.color import Color, mix, shade
from pansight.scenes.dice import Dice
from pansight.scenes.light import Light, sample_light
from pansight.scenes.places import PLACES
from pansight.scenes.plot import Plot
from pansight.scenes.world import Lens, Ridge, World

_MARGIN = 0.35
_ROCKS: tuple[Color, ...] = (
    (96, 112, 148),
    (112, 104, 136),
    (126, 118, 122),
    (84, 104, 132),
    (134, 112, 112),
)
_GRASSES: tuple[Color, ...] = ((116, 168, 72), (98, 154, 66), (140, 172, 78), (88, 146, 80), (168, 174, 88))


def sample_world(seed: int, index: int, height: int, width: int) -> World:
    """The world of scene `index` of a seed, for an image of height x width pixels.

    The same (seed, index) at a larger size shows the same scene in more detail; another aspect ratio shows
    another part of a similar scene.
    """
    dice = Dice(seed, index)
    span = min(height, width)
    plot = Plot(dice, width / span, height / span, sample_light(dice))
    plot.horizon = plot.height * dice.between(0.33, 0.5)
    grass = _grass(dice, plot.light)
    place = dice.pick(PLACES)
    ridges = _ridges(dice, plot) if dice.chance(place.hills) else ()
    place.build(plot)
    lens = Lens(
        noise=dice.between(1.0, 5.0),
        blur=max(0.0, dice.between(-0.6, 0.45)),
        vignette=dice.between(0.05, 0.3),
        grain=dice.integer(0, 1 << 20),
        drift=dice.between(-0.012, 0.012),
    )
    return World(
        plot.width, plot.height, plot.horizon, plot.light, plot.base, grass, ridges, tuple(plot.grounds),
        tuple(plot.facades), tuple(plot.items), lens,
    )  # fmt: skip


def _grass(dice: Dice, light: Light) -> Color:
    color = dice.pick(_GRASSES)
    if light.mood == "golden":
        color = mix(color, (190, 172, 84), 0.25)
    return shade(color, dice.between(0.92, 1.06))


def _ridges(dice: Dice, plot: Plot) -> tuple[Ridge, ...]:
    """One to three chains, the farthest highest and palest."""
    count = dice.integer(1, 3)
    rock = dice.pick(_ROCKS)
    tall = dice.between(0.42, 0.66) * min(plot.horizon, 0.75)
    rugged = dice.between(0.25, 1.0)
    ridges = []
    for i in range(count):
        top = tall * (1.0 - 0.3 * i)
        steps = int((plot.width + 2 * _MARGIN) * (9 + 4 * i)) + 2
        wave = dice.between(0.25, 0.6)
        phase = dice.between(0.0, 10.0)
        outline = []
        for k in range(steps + 1):
            x = -_MARGIN + (plot.width + 2 * _MARGIN) * k / steps
            u = x / wave + phase
            swell = 0.5 + 0.5 * _triangle(u) * (1 - 0.35 * rugged) + 0.22 * _triangle(2.3 * u + 1.7)
            outline.append((x, top * max(0.28, swell + 0.16 * rugged * (dice.number() - 0.5))))
        paleness = plot.light.thickness * (0.95 - 0.28 * i)
        color = mix(shade(rock, 0.92), plot.light.haze, min(0.68, paleness))
        snow = top * dice.between(0.62, 0.8) if i == 0 and tall > 0.24 and rugged > 0.5 else 9.0
        ridges.append(Ridge(tuple(outline), color, snow))
    return tuple(ridges)


def _triangle(u: float) -> float:
    """A smooth wave in [-1, 1] with period 2, of sums and products only: the same on every machine."""
    u = abs(u % 2.0 - 1.0)
    return 2.0 * u * u * (3.0 - 2.0 * u) - 1.0

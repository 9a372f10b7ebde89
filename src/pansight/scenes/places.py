"""The kinds of places that scenes show."""

from collections.abc import Callable
from dataclasses import dataclass

from pansight.scenes.plot import HALF_WIDTH, Plot
from pansight.scenes.world import Facade, Item, spans_per_metre


@dataclass(frozen=True, slots=True)
class Place:
    """How a place is built, and how often hills are seen behind it."""

    build: Callable[[Plot], None]
    hills: float


def _sky(plot: Plot, birds: float = 0.3, balloons: float = 0.25) -> None:
    plot.fly("balloon", balloons)
    plot.fly("bird", birds)


def _tree_line(plot: Plot, depth: float, scale: float = 1.0) -> None:
    """A wood along the horizon, over all or half of the width."""
    half = plot.dice.chance(0.35)
    x = -0.3
    if half and plot.dice.chance(0.5):
        x = plot.width * plot.dice.between(0.3, 0.6)
    end = plot.width * plot.dice.between(0.4, 0.7) if half and x < 0 else plot.width + 0.3
    while x < end:
        size = scale * plot.dice.between(0.75, 1.25)
        plot.scenery("vegetation", "thicket", x, depth + plot.dice.between(0.0, 0.02), size)
        x += 0.17 * size


def _trees(plot: Plot, mean: float, near_far: tuple[float, float]) -> None:
    """Single trees and bushes, the nearer ones towards the sides."""
    dice = plot.dice
    for _ in range(int(mean * max(1.0, plot.width / 1.34) + dice.number())):
        depth = dice.between(*near_far)
        x = plot.across()
        if depth > 0.4:
            x = plot.width * (dice.between(0.0, 0.2) if dice.chance(0.5) else dice.between(0.8, 1.0))
        form = dice.pick(("tree", "tree", "fir", "poplar", "bush"))
        plot.scenery("vegetation", form, x, depth, dice.between(0.8, 1.2))


def _foreground(plot: Plot, chance: float) -> None:
    if plot.dice.chance(chance):
        side = plot.dice.between(0.0, 0.15) if plot.dice.chance(0.5) else plot.dice.between(0.85, 1.0)
        plot.scenery("vegetation", "bush", plot.width * side, plot.dice.between(1.02, 1.12), 1.1)


def _houses(plot: Plot, depth: float, gaps: float, tall: float) -> None:
    """A row of houses that face the viewer."""
    dice = plot.dice
    metre = spans_per_metre(depth)
    # roofs stay below the upper border, so that some sky is left
    foot = plot.horizon + (plot.height - plot.horizon) * depth
    room = max(0.4, (0.88 * foot / metre - 2.2) / 4.6)
    x = dice.between(-0.3, 0.05)
    while x < plot.width + 0.1:
        if dice.chance(gaps):
            gap = dice.between(0.12, 0.3)
            if dice.chance(0.75):
                plot.scenery(
                    "vegetation",
                    dice.pick(("tree", "poplar", "fir")),
                    x + gap / 2,
                    depth,
                    dice.between(0.8, 1.1),
                )
            x += gap
            continue
        wide = dice.between(0.85, 1.35)
        half = 2.4 * wide * metre
        look = dice.numbers(12)
        plot.items.append(
            _house(x + half, depth, wide, min(tall * dice.between(0.75, 1.3), room / wide), look)
        )
        x += 2 * half + 0.004


def _house(x: float, depth: float, wide: float, tall: float, look: tuple[float, ...]) -> Item:
    return Item("building", "house", x, depth, wide, 1, (tall, *look))


def _traffic(plot: Plot, far: float, near: float, cars: float, buses: float) -> None:
    """Vehicles seen from the side on a two-lane road between two depths."""
    dice = plot.dice
    # one speed a lane, so that nobody drives through anybody
    paces = (-dice.between(0.2, 0.38), dice.between(0.2, 0.38))
    for category, mean in (("bus", buses), ("car", cars)):
        for _ in range(plot.several(mean)):
            for _ in range(4):
                lane = dice.integer(0, 1)
                depth = far + (near - far) * (0.36 if lane == 0 else 0.84) + dice.between(-0.008, 0.008)
                half = HALF_WIDTH[category] * spans_per_metre(depth)
                x = dice.between(-0.6 * half, plot.width + 0.6 * half)
                scale = dice.between(0.94, 1.08)
                if plot.thing(category, x, depth, facing=2 * lane - 1, scale=scale, speed=paces[lane]):
                    break


def _street(plot: Plot) -> None:
    dice = plot.dice
    kerb = dice.between(0.1, 0.24)
    road = kerb + dice.between(0.1, 0.16)
    near = road + dice.between(0.3, 0.42)
    if dice.chance(0.4):
        _tree_line(plot, 0.01)
    plot.band("sidewalk", kerb, road)
    plot.band("road", road, near, marked=True)
    plot.band(dice.pick(("sidewalk", "sidewalk", "grass")), near)
    _houses(plot, kerb, dice.between(0.1, 0.35), dice.between(0.8, 1.35))
    _traffic(plot, road, near, 1.35, 0.5)
    plot.scatter("person", 0.9, (kerb + 0.02, road - 0.02), pace=0.05)
    plot.scatter("person", 0.8, (near + 0.03, 1.0), pace=0.05)
    plot.scatter("motorcycle", 0.45, (near + 0.04, min(1.0, near + 0.25)))
    plot.scatter("traffic light", 0.5, (near + 0.01, near + 0.06), scale=(1.0, 1.15))
    plot.scatter("traffic light", 0.35, (road - 0.03, road - 0.005), scale=(1.1, 1.25))
    _trees(plot, 0.5, (near + 0.03, 0.85))
    _sky(plot, 0.3, 0.2)


def _row(plot: Plot, vanish: float, offset: float) -> None:
    """Houses along one side of a lane, from in front of the image to far away."""
    near = 1.7
    for _ in range(7):
        far = near * plot.dice.between(0.55, 0.72)
        plot.facades.append(
            Facade(vanish, offset, near, far, plot.dice.between(0.75, 1.5), plot.dice.numbers(8))
        )
        near = far


def _avenue(plot: Plot) -> None:
    dice = plot.dice
    vanish = plot.width * dice.between(0.35, 0.65)
    half = dice.between(0.5, 0.72) * min(1.0, plot.width / 1.2)
    walk = half + dice.between(0.2, 0.34)
    rows = [dice.chance(0.62), dice.chance(0.62)]
    if all(rows):
        plot.base = "sidewalk"
    else:
        _tree_line(plot, 0.01)
    plot.lane("sidewalk", vanish, -walk, walk)
    plot.lane("road", vanish, -half, half, marked=True)
    for side, row in zip((-1, 1), rows, strict=True):
        if row:
            _row(plot, vanish, side * (walk + dice.between(0.0, 0.06)))
        for _ in range(dice.integer(0, 2) if row else dice.integer(1, 4)):
            depth = dice.between(0.12, 0.6)
            reach = (walk - 0.05) if row else walk + dice.between(0.06, 0.5)
            form = dice.pick(("tree", "tree", "poplar", "bush"))
            plot.scenery("vegetation", form, vanish + side * reach * depth, depth, dice.between(0.7, 1.0))
    rates = {-1: dice.between(0.012, 0.03), 1: -dice.between(0.012, 0.03)}
    for category, mean in (("bus", 0.5), ("car", 1.5), ("motorcycle", 0.35)):
        for _ in range(plot.several(mean)):
            for _ in range(4):
                lane = dice.sign()
                depth = dice.between(0.2, 0.8)
                if category == "motorcycle":
                    x = vanish + lane * (half + 0.06) * depth
                    if plot.thing(category, x, depth, facing=-lane):
                        break
                    continue
                x = vanish + lane * half * 0.5 * depth
                # seen from behind on the right-hand lane, from the front on the left-hand one
                if plot.thing(
                    category, x, depth, form=f"{category} ahead", facing=lane, approach=rates[lane]
                ):
                    break
    for _ in range(plot.several(1.8)):
        depth = dice.between(0.18, 0.95)
        side = dice.sign()
        x = vanish + side * dice.between(half + 0.06, walk - 0.03) * depth
        facing = dice.sign()
        plot.thing("person", x, depth, facing=facing, approach=facing * 0.004, scale=dice.between(0.92, 1.12))
    for _ in range(plot.several(0.8)):
        depth = dice.between(0.2, 0.7)
        plot.thing("traffic light", vanish + dice.sign() * (half + 0.035) * depth, depth, scale=1.15)
    _sky(plot, 0.35, 0.3)


def _meadow(plot: Plot) -> None:
    dice = plot.dice
    if dice.chance(0.7):
        _tree_line(plot, 0.005, dice.between(0.7, 1.2))
    far = 0.14
    roll = dice.number()
    if roll < 0.4:
        road = dice.between(0.2, 0.4)
        near = road + dice.between(0.24, 0.32)
        plot.band("road", road, near, marked=dice.chance(0.6))
        plot.band("grass", near, wobble=0.012)
        _traffic(plot, road, near, 0.9, 0.4)
        far = near + 0.05
    elif roll < 0.65:
        vanish = plot.width * dice.between(0.25, 0.75)
        half = dice.between(0.3, 0.45)
        plot.lane("road", vanish, -half, half, marked=dice.chance(0.5))
        for _ in range(plot.several(0.8)):
            lane, depth = dice.sign(), dice.between(0.25, 0.8)
            plot.thing(
                "car", vanish + lane * 0.5 * half * depth, depth, form="car ahead", facing=lane,
                approach=-lane * 0.02,
            )  # fmt: skip
    for _ in range(dice.integer(0, 2)):
        look = (dice.between(0.5, 0.75), *dice.numbers(12))
        plot.items.append(
            _house(plot.across(), dice.between(0.04, 0.16), dice.between(0.9, 1.3), look[0], look[1:])
        )
    _trees(plot, 2.2, (0.03, 0.6))
    plot.scatter("cow", 1.6, (far, 0.92), pace=0.012)
    plot.scatter("sheep", 1.7, (far, 0.95), pace=0.012)
    plot.scatter("person", 0.7, (far, 1.0), pace=0.05)
    plot.scatter("motorcycle", 0.2, (0.4, 0.95))
    _foreground(plot, 0.3)
    _sky(plot, 0.55, 0.55)


def _lake(plot: Plot) -> None:
    dice = plot.dice
    far = dice.between(0.05, 0.12)
    shore = dice.between(0.5, 0.72)
    _tree_line(plot, 0.02, dice.between(0.7, 1.2))
    if dice.chance(0.35):
        for _ in range(dice.integer(1, 3)):
            look = (dice.between(0.5, 0.9), *dice.numbers(12))
            plot.items.append(_house(plot.across(), 0.04, dice.between(0.8, 1.2), look[0], look[1:]))
    plot.band("water", far, shore, wobble=0.012)
    paved = dice.chance(0.3)
    plot.band("sidewalk" if paved else "grass", shore, wobble=0.0 if paved else 0.035)
    plot.scatter("boat", 1.7, (far + 0.07, shore - 0.05), pace=0.05, scale=(0.95, 1.2))
    land = (shore + 0.08, 1.0)
    if not paved:
        plot.scatter("cow", 0.7, land, pace=0.012)
        plot.scatter("sheep", 0.8, land, pace=0.012)
    plot.scatter("person", 0.8, land, pace=0.05)
    plot.scatter("motorcycle", 0.35, land)
    _trees(plot, 0.9, (shore + 0.06, 0.9))
    _foreground(plot, 0.35)
    _sky(plot, 0.6, 0.45)


def _harbour(plot: Plot) -> None:
    dice = plot.dice
    plot.base = "sidewalk"
    plot.band("water", dice.between(0.055, 0.075))
    quay = dice.between(0.5, 0.66)
    if dice.chance(0.8):
        _houses(plot, 0.03, dice.between(0.15, 0.45), dice.between(0.6, 1.5))
    else:
        _tree_line(plot, 0.01)
    walk = dice.chance(0.55)
    end = quay + dice.between(0.12, 0.18) if walk else 1.0
    plot.band("sidewalk", quay, end)
    if walk:
        plot.band("road", end, 1.0, marked=False)
        for _ in range(plot.several(0.9)):
            facing = dice.sign()
            plot.thing(
                "car", plot.across(-0.1), dice.between(end + 0.12, 0.99), facing=facing,
                speed=facing * 0.3,
            )  # fmt: skip
    land = (quay + 0.05, end - 0.01)
    plot.scatter("boat", 1.8, (0.1, quay - 0.05), pace=0.05, scale=(0.95, 1.2))
    plot.scatter("person", 1.2, land, pace=0.05)
    plot.scatter("motorcycle", 0.4, land)
    plot.scatter("traffic light", 0.45, (end - 0.03, end - 0.005), scale=(1.0, 1.15))
    _trees(plot, 0.6, (quay + 0.03, quay + 0.1))
    _sky(plot, 0.6, 0.3)


PLACES = (
    Place(_street, 0.35),
    Place(_avenue, 0.45),
    Place(_meadow, 0.7),
    Place(_lake, 0.75),
    Place(_harbour, 0.4),
)

"""The building site of a world: what has been put where, and room for more."""

from pansight.scenes.dice import Dice
from pansight.scenes.light import Light
from pansight.scenes.world import Facade, Ground, Item, spans_per_metre

_MARGIN = 0.35
_MOST_THINGS = 160
HALF_WIDTH = {
    "person": 0.35,
    "car": 1.95,
    "car ahead": 1.0,
    "bus": 3.1,
    "bus ahead": 1.25,
    "motorcycle": 1.15,
    "cow": 1.1,
    "sheep": 0.75,
    "boat": 2.0,
    "traffic light": 0.35,
}
"""Metres from the middle of a form to its front."""


class Plot:
    """A world in the making."""

    def __init__(self, dice: Dice, width: float, height: float, light: Light) -> None:
        self.dice = dice
        self.width, self.height = width, height
        self.light = light
        self.horizon = 0.4 * height
        self.base = "grass"
        self.grounds: list[Ground] = []
        self.facades: list[Facade] = []
        self.items: list[Item] = []
        self._taken: list[tuple[float, float, float]] = []
        crowd = dice.number()
        self.busy = 0.12 if crowd < 0.04 else 1.7 if crowd > 0.86 else dice.between(0.65, 1.15)

    def several(self, mean: float) -> int:
        """How many of a kind: around `mean`, more in busy and in wide scenes."""
        expected = mean * self.busy * max(1.0, (self.width / 1.34) ** 0.6)
        return int(expected + self.dice.number())

    def across(self, inset: float = 0.03) -> float:
        """A place anywhere between the side borders."""
        return self.dice.between(inset, self.width - inset)

    def band(
        self, category: str, depth: float, near: float = 1.0, wobble: float = 0.0, marked: bool = False
    ) -> None:
        """Ground from a far edge downwards; `wobble` is the edge's unevenness in depth."""
        if wobble == 0.0:
            tilt = self.dice.between(-0.015, 0.015)
            edge = [(-_MARGIN, depth - tilt), (self.width + _MARGIN, depth + tilt)]
        else:
            steps = int((self.width + 2 * _MARGIN) * 6) + 2
            heights = [self.dice.between(-wobble, wobble) for _ in range(steps + 1)]
            edge = []
            for k in range(4 * steps + 1):
                i, part = divmod(k, 4)
                u = part / 4
                u = u * u * (3 - 2 * u)
                level = heights[i] + (heights[min(i + 1, steps)] - heights[i]) * u
                edge.append(
                    (-_MARGIN + (self.width + 2 * _MARGIN) * k / (4 * steps), max(0.0, depth + level))
                )
        self.grounds.append(Ground(category, "band", tuple(edge), near, marked=marked))

    def lane(self, category: str, vanish: float, left: float, right: float, marked: bool = False) -> None:
        """Ground that runs away from the viewer."""
        self.grounds.append(Ground(category, "lane", vanish=vanish, left=left, right=right, marked=marked))

    def scenery(self, category: str, form: str, x: float, depth: float, scale: float = 1.0) -> None:
        """A tree, bush or house."""
        self.items.append(Item(category, form, x, depth, scale, self.dice.sign(), self.dice.numbers(12)))

    def thing(
        self,
        category: str,
        x: float,
        depth: float,
        *,
        form: str = "",
        facing: int = 0,
        scale: float = 1.0,
        speed: float = 0.0,
        approach: float = 0.0,
    ) -> bool:
        """A thing on the ground, unless it would stand inside another; says whether there was room."""
        form = form or category
        look = self.dice.numbers(12)
        half = HALF_WIDTH[form] * spans_per_metre(depth) * scale
        if len(self._taken) >= _MOST_THINGS:
            return False
        for left, right, other in self._taken:
            overlap = min(right, x + half) - max(left, x - half)
            if overlap > 0 and (
                abs(other - depth) < 0.035
                or overlap > (0.85 if depth < other else 0.95) * min(2 * half, right - left)
            ):
                return False
        self._taken.append((x - half, x + half, depth))
        self.items.append(
            Item(category, form, x, depth, scale, facing or self.dice.sign(), look, speed, approach)
        )
        return True

    def scatter(
        self,
        category: str,
        mean: float,
        near_far: tuple[float, float],
        *,
        pace: float = 0.0,
        scale: tuple[float, float] = (0.92, 1.12),
    ) -> None:
        """Several things of a kind between two depths, some of them close to others so that they overlap."""
        for _ in range(self.several(mean)):
            for _ in range(4):
                depth = self.dice.between(*near_far)
                x = self.across()
                if self._taken and self.dice.chance(0.4):
                    left, right, other = self.dice.pick(self._taken)
                    if abs(other - depth) > 0.035:
                        half = HALF_WIDTH[category] * spans_per_metre(depth)
                        x = (left if self.dice.chance(0.5) else right) + self.dice.between(-0.7, 0.7) * half
                facing = self.dice.sign()
                speed = facing * pace * self.dice.between(0.5, 1.2)
                if self.thing(
                    category, x, depth, facing=facing, scale=self.dice.between(*scale), speed=speed
                ):
                    break

    def fly(self, category: str, mean: float) -> None:
        """Birds or balloons in the sky."""
        for _ in range(min(self.several(mean), _MOST_THINGS // 4)):
            facing = self.dice.sign()
            bird = category == "bird"
            size = self.dice.between(0.16, 0.29) if bird else self.dice.between(0.2, 0.42)
            size *= min(1.0, self.horizon / 0.4)
            low = 0.5 * size / self.horizon + 0.02
            share = self.dice.between(min(low, 0.5), 0.78 if bird else max(0.52, 0.9 - low))
            speed = facing * (0.012 if bird else 0.0025) * self.dice.between(0.6, 1.3)
            self.items.append(
                Item(
                    category, category, self.across(0.08), -share, size, facing, self.dice.numbers(12), speed
                )
            )

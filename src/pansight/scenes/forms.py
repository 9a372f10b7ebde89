"""From an item of the world to its shapes on the canvas."""

from pansight.scenes import buildings, crafts, creatures, vegetation, vehicles
from pansight.scenes.sketch import Pen
from pansight.scenes.world import Item, View

_TREES = {
    "tree": vegetation.tree,
    "bush": vegetation.bush,
    "fir": vegetation.fir,
    "poplar": vegetation.poplar,
    "thicket": vegetation.thicket,
}
_ANIMALS = {"person": creatures.person, "cow": creatures.cow, "sheep": creatures.sheep}


def draw(item: Item, view: View) -> Pen:
    """The item's shapes, at the moment of the view."""
    light = view.world.light
    form, look, frame = item.form, item.look, view.frame
    if item.depth < 0:
        y = -item.depth * view.world.horizon * view.unit
        x = (item.x + item.speed * frame - 0.3 * view.pan) * view.unit
        pen = Pen(x, y, item.scale * view.unit, item.facing, light.haze, 0.12)
        if form == "bird":
            creatures.bird(pen, look, look[5] + 0.13 * frame)
        else:
            crafts.balloon(pen, look, light.side * item.facing)
        return pen
    depth = item.depth * (1.0 + item.approach) ** frame
    metre = view.metre(depth)
    x = view.x(item.x + (depth - item.depth) * _bearing(item, view), depth) + item.speed * frame * metre
    fade = min(0.5, light.thickness * 0.8 * max(0.0, 1.0 - depth) ** 3)
    pen = Pen(x, view.y(depth), metre * item.scale, item.facing, light.haze, fade)
    if form in _TREES:
        _TREES[form](pen, look, light.side * item.facing)
    elif form in _ANIMALS:
        pace = 0.06 if form == "person" else 0.02
        moving = item.speed != 0.0 or item.approach != 0.0
        _ANIMALS[form](pen, look, look[10] + (pace * frame if moving else 0.0))
    elif form == "house":
        buildings.house(pen, look, light)
    elif form == "car":
        vehicles.car(pen, look)
    elif form == "bus":
        vehicles.bus(pen, look)
    elif form == "car ahead":
        vehicles.car_ahead(pen, look, rear=item.facing > 0)
    elif form == "bus ahead":
        vehicles.bus_ahead(pen, look, rear=item.facing > 0)
    elif form == "motorcycle":
        vehicles.motorcycle(pen, look)
    elif form == "boat":
        crafts.boat(pen, look)
    else:
        crafts.traffic_light(pen, look, frame)
    return pen


def _bearing(item: Item, view: View) -> float:
    """On which line through the vanishing point an approaching item moves: change of x a change of depth."""
    if item.approach == 0.0:
        return 0.0
    lanes = [ground.vanish for ground in view.world.grounds if ground.form == "lane"]
    return (item.x - lanes[0]) / item.depth if lanes else 0.0

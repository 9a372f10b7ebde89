"""The categories of the scenes, in the order of the built-in set "scenes": things first, then stuff."""

THINGS = (
    "person",
    "car",
    "bus",
    "motorcycle",
    "cow",
    "sheep",
    "bird",
    "boat",
    "balloon",
    "traffic light",
)
STUFF = ("sky", "mountain", "building", "vegetation", "grass", "road", "sidewalk", "water")

FIRST_THING_CODE = len(STUFF) + 1
"""On the code canvas stuff is 1 + its place in STUFF, the k-th thing of a world FIRST_THING_CODE + k."""

STUFF_CODE = {name: code for code, name in enumerate(STUFF, start=1)}
GROUND = ("grass", "road", "sidewalk", "water")

"""One segment of a map, without the map."""

from dataclasses import dataclass

VOID = 0
"""Id of the pixels that belong to no segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One region of a map: an object of a thing category, or all of one kind of stuff.

    `category` is the contiguous index, `area` counts pixels, `box` is (x, y, width, height) in pixels, tight.
    A crowd is a region of many objects that were not separated.

        >>> Segment(id=1, category=0, area=12, box=(0, 0, 4, 3)).score is None
        True
    """

    id: int
    category: int
    area: int
    box: tuple[int, int, int, int]
    score: float | None = None
    is_crowd: bool = False

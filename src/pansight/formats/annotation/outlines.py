"""Masks as polygons on pixel centres, for tools that draw outlines as part of an object."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

Point = tuple[int, int]
"""x, y of a pixel"""

_STEPS: tuple[Point, ...] = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""Right, down, left, up: ways along pixel corners, with the mask on the right hand."""

_INSIDE: tuple[Point, ...] = ((0, 0), (-1, 0), (-1, -1), (0, -1))
"""The pixel on the right hand of each, relative to the corner where the step begins."""


class Loop(NamedTuple):
    """A closed walk along the inner border of a mask, pixel by pixel; round a hole or round a part."""

    pixels: list[Point]
    is_hole: bool


class OnePolygon(NamedTuple):
    """The corners of a polygon, pixel centres, and the number of parts joined in it."""

    corners: list[Point]
    parts: int


def border_loops(mask: Bool[np.ndarray, "h w"]) -> list[Loop]:
    """All borders of a mask; pixels that touch by a corner belong together.

    Drawn with its outline, the walk round a part covers the part and its holes, and nothing else.
    """
    padded = np.pad(mask, 1)
    edges: dict[tuple[int, int, int], None] = {}
    # a step begins where its pixel's clockwise side does
    for way, (dx, dy) in enumerate(((0, -1), (1, 0), (0, 1), (-1, 0))):
        beside = np.roll(padded, (-dy, -dx), axis=(0, 1))
        for y, x in np.argwhere(padded & ~beside).tolist():
            edges[x - 1 - _INSIDE[way][0], y - 1 - _INSIDE[way][1], way] = None
    loops = []
    while edges:
        first = edge = next(iter(edges))
        pixels: list[Point] = []
        area = 0
        while True:
            del edges[edge]
            x, y, way = edge
            dx, dy = _STEPS[way]
            area += x * dy - y * dx
            pixel = (x + _INSIDE[way][0], y + _INSIDE[way][1])
            if not pixels or pixels[-1] != pixel:
                pixels.append(pixel)
            # the left of two ways on keeps together what touches by a corner
            after = ((x + dx, y + dy, (way + turn) % 4) for turn in (3, 0, 1))
            following = next((one for one in after if one in edges or one == first), first)
            if following == first:
                break
            edge = following
        if len(pixels) > 1 and pixels[0] == pixels[-1]:
            pixels.pop()
        loops.append(Loop(pixels, area < 0))
    return loops


def one_polygon(mask: Bool[np.ndarray, "h w"]) -> OnePolygon:
    """A mask, which must not be empty, as a single polygon.

    Holes stay holes: the outline goes to each along pixels of the mask, round it, and back.
    Parts are joined by lines between their nearest pixels.
    """
    loops = border_loops(mask)
    paths = [loop.pixels for loop in loops if not loop.is_hole]
    waiting = sorted((loop.pixels for loop in loops if loop.is_hole), key=min)
    while waiting:
        for hole in waiting:
            if _splice(paths, hole):
                waiting.remove(hole)
                break
        else:  # cannot be: the leftmost hole always meets an outline
            break
    parts = len(paths)
    path = paths[0]
    for part in paths[1:]:
        path = _joined(path, part)
    return OnePolygon(_corners(path), parts)


def _splice(paths: list[list[Point]], hole: list[Point]) -> bool:
    """Put the walk round a hole into the path that lies to its left; False where none does yet."""
    begin = min(hole)
    turn = hole.index(begin)
    known = [set(path) for path in paths]
    bridge = [begin]
    while bridge[-1][0] >= 0:
        for number, pixels in enumerate(known):
            if bridge[-1] in pixels:
                at = paths[number].index(bridge[-1])
                around = [*bridge[::-1], *hole[turn + 1 :], *hole[:turn], *bridge]
                paths[number] = [*paths[number][:at], *around, *paths[number][at + 1 :]]
                return True
        bridge.append((bridge[-1][0] - 1, bridge[-1][1]))
    return False


def _joined(path: list[Point], part: list[Point]) -> list[Point]:
    """Both walks as one, by a line between their nearest pixels, there and back."""
    ours, theirs = np.array(path), np.array(part)
    best = (np.inf, 0, 0)
    for position, point in enumerate(theirs):
        far = np.abs(ours - point).sum(axis=1)
        nearest = int(far.argmin())
        best = min(best, (float(far[nearest]), nearest, position))
    _, at, turn = best
    return [*path[: at + 1], *part[turn:], *part[: turn + 1], *path[at:]]


def _corners(path: Sequence[Point]) -> list[Point]:
    """The pixels of a walk where it changes direction; at least three, as a polygon needs."""
    kept: list[Point] = []
    for position, (x, y) in enumerate(path):
        before, after = path[position - 1], path[(position + 1) % len(path)]
        one, two = (x - before[0], y - before[1]), (after[0] - x, after[1] - y)
        if one != two or max(abs(one[0]), abs(one[1])) != 1:
            kept.append((x, y))
    kept = kept or [path[0]]
    return kept + [kept[-1]] * (3 - len(kept))

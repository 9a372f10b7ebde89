"""The statistics of a data set as a bar chart."""

import numpy as np
from jaxtyping import UInt8

from pansight.datatools.statistics import ClassStatistics, Statistics
from pansight.drawing.bars import Bar, bar_chart
from pansight.drawing.names import short_names
from pansight.drawing.shades import as_color
from pansight.drawing.sheets import side_by_side

_MOST = 40
"""Most classes drawn, those with the most pixels; the others are left out."""


def statistics_chart(statistics: Statistics) -> UInt8[np.ndarray, "h w 3"]:
    """An RGB image: share of pixels, number of segments and of images of every class that occurs."""
    names = short_names(statistics.categories)
    rows = [
        (one, name, as_color(color))
        for one, name, color in zip(statistics.classes(), names, statistics.categories.colors, strict=True)
        if one.pixels
    ]
    rows.sort(key=lambda row: (not row[0].is_thing, -row[0].pixels))
    kept = sorted(rows, key=lambda row: -row[0].pixels)[:_MOST]
    rows = [row for row in rows if row in kept]
    if not rows:
        return bar_chart([Bar("no segments")], "statistics")
    classes = [one for one, _, _ in rows]
    shares = [one.pixels / statistics.pixels for one in classes]
    segments = [one.segments + one.crowd for one in classes]
    pictures = [one.pictures for one in classes]
    charts = []
    for title, values, texts in (
        ("share of pixels", shares, [f"{share:.2%}" for share in shares]),
        ("segments (log scale)", segments, [f"{count:,}" for count in segments]),
        ("images", pictures, [f"{count:,}" for count in pictures]),
    ):
        bars = [
            Bar(name, float(value), text, color)
            for (_, name, color), value, text in zip(rows, values, texts, strict=True)
        ]
        charts.append(bar_chart(_with_headings(bars, classes), title, logarithmic="log" in title))
    return side_by_side(charts)


def _with_headings(bars: list[Bar], classes: list[ClassStatistics]) -> list[Bar]:
    things = [bar for bar, one in zip(bars, classes, strict=True) if one.is_thing]
    stuff = [bar for bar, one in zip(bars, classes, strict=True) if not one.is_thing]
    return [
        *([Bar("THINGS"), *things] if things else []),
        *([Bar("STUFF"), *stuff] if stuff else []),
    ]

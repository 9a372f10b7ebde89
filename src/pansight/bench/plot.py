"""Speed against accuracy, as an image."""

import math
from statistics import median

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from pansight.bench.reports import threads_of
from pansight.bench.run import Benchmark, Row

WIDTH, HEIGHT = 1200, 800
LEFT, RIGHT, TOP, BOTTOM = 100, 40, 70, 90
COLORS = ("#1f6feb", "#d4442e", "#2a9d4a", "#8a4fd0", "#d08a00", "#0f9aa8", "#c2187a", "#555555")


def accuracy(row: Row) -> float | None:
    """Measured PQ, else the published one, in per cent."""
    if row.pq is not None:
        return row.pq
    return row.figures[0].pq if row.figures else None


def draw_plot(found: Benchmark) -> UInt8[np.ndarray, "h w 3"]:
    """Median milliseconds of the whole call (logarithmic) across, PQ upwards; a colour an engine.

    Rows without a PQ stand at the lower edge.
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    font, small = ImageFont.load_default(22), ImageFont.load_default(17)
    times = [median(row.totals) for row in found.rows]
    scores = [score for row in found.rows if (score := accuracy(row)) is not None]
    low, high = math.log10(min(times)) - 0.15, math.log10(max(times)) + 0.35
    bottom = math.floor(min(scores, default=0) / 5) * 5 - 5
    top = math.ceil(max(scores, default=0) / 5) * 5 + 5

    def place(milliseconds: float, score: float | None) -> tuple[float, float]:
        x = LEFT + (math.log10(milliseconds) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        share = 0.0 if score is None else (score - bottom) / (top - bottom)
        return x, HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    for exponent in range(math.floor(low), math.ceil(high) + 1):
        for step in (1, 2, 5):
            value = step * 10.0**exponent
            if low <= math.log10(value) <= high:
                x, _ = place(value, None)
                pen.line((x, TOP, x, HEIGHT - BOTTOM), fill="#e4e4e4")
                pen.text((x, HEIGHT - BOTTOM + 8), f"{value:g}", fill="black", font=small, anchor="mt")
    for score in range(bottom, top + 1, 5):
        _, y = place(times[0], float(score))
        pen.line((LEFT, y, WIDTH - RIGHT, y), fill="#e4e4e4")
        pen.text((LEFT - 10, y), f"{score}", fill="black", font=small, anchor="rm")
    pen.rectangle((LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM), outline="#888888")
    title = f"Whole call at batch 1, {found.machine['processor']}, {threads_of(found)}"
    pen.text((LEFT, 24), title, fill="black", font=font)
    pen.text((WIDTH / 2, HEIGHT - 22), "milliseconds, median", fill="black", font=font, anchor="ms")
    pen.text((14, TOP - 10), "PQ", fill="black", font=font, anchor="ls")
    engines = list(dict.fromkeys((row.engine_name, row.precision) for row in found.rows))
    for row, milliseconds in zip(found.rows, times, strict=True):
        x, y = place(milliseconds, accuracy(row))
        color = COLORS[engines.index((row.engine_name, row.precision)) % len(COLORS)]
        pen.ellipse((x - 7, y - 7, x + 7, y + 7), fill=color)
        label = f"{row.name} {row.size[0]}x{row.size[1]}"
        pen.text((x + 11, y), label, fill=color, font=small, anchor="lm")
    for number, (engine, precision) in enumerate(engines):
        color = COLORS[number % len(COLORS)]
        y = TOP + 24 + 24 * number
        pen.ellipse((WIDTH - RIGHT - 250, y - 6, WIDTH - RIGHT - 238, y + 6), fill=color)
        pen.text((WIDTH - RIGHT - 230, y), f"{engine}, {precision}", fill="black", font=small, anchor="lm")
    return np.asarray(image)

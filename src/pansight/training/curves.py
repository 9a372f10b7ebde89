"""The progress of a training, as one self-contained page of curves."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from pansight.files import atomic_write
from pansight.reporting.markup import Html, element, join

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 14, 30
COLORS = (
    "#0b6e99",
    "#c2410c",
    "#15803d",
    "#7e22ce",
    "#b91c1c",
    "#0f766e",
    "#a16207",
    "#4338ca",
    "#be185d",
    "#475569",
)

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1e293b;background:#fff;max-width:1340px;margin:24px
auto;padding:0 16px} h1{font-size:22px}section{display:flex;flex-wrap:wrap;gap:16px}figure{margin:0}
figcaption{font-weight:600;margin:8px 0 4px}svg{border:1px solid #e2e8f0;border-radius:6px;max-width:100%} svg
text{font:11px system-ui,sans-serif;fill:#475569}.key{font-size:12px;margin-right:12px;white-space:nowrap}
.key i{display:inline-block;width:14px;height:3px;vertical-align:middle;margin-right:4px}
"""

Series = Mapping[str, Sequence[float]]


def write_curves(folder: Path, title: str) -> Path | None:
    """`curves.html` in a training's folder, from its CSV files; None where they have no rows yet.

    Loss and its terms, panoptic quality, learning rate and norm of the gradients, over the steps. Raises
    InputError when it cannot be written.
    """
    training, validation = (_read(folder / f"{name}.csv") for name in ("training", "validation"))
    if not training:
        return None
    terms = [name for name in training if name not in ("step", "seconds", "learning_rate", "gradient_norm")]
    figures = [
        _figure("loss and its terms", training, terms, logarithmic=True),
        _figure("learning rate", training, ["learning_rate"]),
        _figure(
            "norm of the gradients, before they are bounded", training, ["gradient_norm"], logarithmic=True
        ),
    ]
    if validation:
        quality = [name for name in ("pq", "pq_things", "pq_stuff", "sq", "rq") if name in validation]
        figures.insert(0, _figure("panoptic quality on validation images, %", validation, quality))
    page = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("title", title),
            element("style", Html(STYLE)),
        ),
        element("body", element("h1", title), element("section", *figures)),
        lang="en",
    )
    path = folder / "curves.html"
    with atomic_write(path) as temporary:
        temporary.write_text(f"<!doctype html>{page}", encoding="utf-8")
    return path


def _read(path: Path) -> dict[str, list[float]]:
    """Columns of a table by name; empty where there is none."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 2:
        return {}
    return {name: [_number(row[place]) for row in rows[1:]] for place, name in enumerate(rows[0])}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _figure(title: str, table: Series, names: Sequence[str], *, logarithmic: bool = False) -> Html:
    """One chart of some columns over the steps; a column's gaps are left out."""
    steps = table["step"]
    values = [value for name in names for value in table[name] if math.isfinite(value)]
    logarithmic = logarithmic and bool(values) and min(values) > 0
    scale = math.log10 if logarithmic else float
    low, high = (scale(bound(values)) for bound in (min, max)) if values else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-3):
        spread = 0.1 * max(abs(low), 1e-6)
        low, high = low - spread, high + spread
    first, last = min(steps), max(max(steps), min(steps) + 1)

    def across(step: float) -> float:
        return LEFT + (step - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - (scale(value) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts: list[Html] = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        level = low + share * (high - low)
        y = HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        shown = 10**level if logarithmic else level
        parts.append(
            element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", stroke="#e2e8f0")
        )
        parts.append(element("text", f"{shown:.3g}", x=LEFT - 6, y=f"{y + 4:.1f}", text_anchor="end"))
        step = first + share * (last - first)
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        parts.append(
            element("text", f"{step:.0f}", x=f"{across(step):.1f}", y=HEIGHT - 10, text_anchor=anchor)
        )
    keys: list[Html] = []
    for number, name in enumerate(names):
        color = COLORS[number % len(COLORS)]
        points = " ".join(
            f"{across(step):.1f},{down(value):.1f}"
            for step, value in zip(steps, table[name], strict=True)
            if math.isfinite(value)
        )
        if points:
            parts.append(element("polyline", points=points, fill="none", stroke=color, stroke_width="1.6"))
            end = points.rpartition(" ")[2].split(",")
            parts.append(element("circle", cx=end[0], cy=end[1], r="2.5", fill=color))
        keys.append(element("span", element("i", style=f"background:{color}"), name, class_="key"))
    svg = element(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        aria_label=title,
    )
    return element("figure", element("figcaption", title), svg, element("div", join(*keys)))

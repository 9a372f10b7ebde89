"""Small parts that several sections share: figures, bars, tables."""

from collections.abc import Mapping, Sequence

from pansight.metrics.bootstrap import Interval, IntervalsResult, QualityIntervals
from pansight.metrics.results import Quality
from pansight.reporting.markup import Html, element

AP_SOURCES: Mapping[str, str] = {
    "segments": "from panoptic segments",
    "instances": "from the model's instances, before any becomes a panoptic segment",
}
"""What mask AP was measured on."""


def value_of(group: Quality | None, key: str = "pq") -> float | None:
    """A figure of a group of categories; None where none of them counts."""
    return None if group is None else float(getattr(group, key))


def interval_of(intervals: IntervalsResult | None, group: str, key: str = "pq") -> Interval | None:
    """The interval of a figure of `all`, `things` or `stuff`; None where there is none."""
    own: QualityIntervals | None = None if intervals is None else getattr(intervals, group)
    return None if own is None else getattr(own, key)


def figure(value: float | None) -> str:
    """A fraction in per cent with one decimal; a dash where there is no value."""
    return "–" if value is None else f"{100 * value:.1f}"


def span(interval: Interval | None) -> str:
    """An interval in per cent."""
    return "" if interval is None else f"{figure(interval.low)} to {figure(interval.high)}"


def table(heads: Sequence[str], rows: Sequence[Html], left: Sequence[str] = ()) -> Html:
    """A table that scrolls by itself where the window is narrow; columns in `left` are aligned there."""
    cells = (element("th", head, class_="left" if head in left else None) for head in heads)
    return element(
        "div",
        element("table", element("thead", element("tr", *cells)), element("tbody", *rows)),
        class_="scroll",
    )


def bar(
    value: float | None,
    style: str,
    interval: Interval | None = None,
    rest: Sequence[tuple[str, float]] = (),
) -> Html:
    """A bar of a fraction 0..1 on a track of full width.

    `interval` is drawn as a line; `rest`, styles and further fractions, goes on where the bar ends.
    """
    parts = [element("rect", class_="track", width=100, height=14)]
    end = 0.0
    for kind, share in ((style, value or 0.0), *rest):
        width = min(max(share, 0.0), 1.0 - end)
        if width > 0:
            faint = f"{kind} faint" if kind != style else kind
            parts.append(element("rect", class_=faint, x=_percent(end), width=_percent(width), height=14))
        end += width
    if interval is not None:
        ends = {"x1": _percent(interval.low), "x2": _percent(interval.high)}
        parts.append(element("line", class_="whisker", y1=7, y2=7, **ends))
    return element(
        "svg",
        *parts,
        viewBox="0 0 100 14",
        preserveAspectRatio="none",
        class_="line",
        aria_hidden="true",
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def swatch(kind: str) -> Html:
    """A small square in the colour of `thing`, `stuff`, `good` (points that were reached) or a cause."""
    return element("span", class_=f"swatch {kind}")


def keyed(kind: str, words: str) -> Html:
    """An entry of a legend: the swatch and what it stands for, never parted by a line's end."""
    return element("span", swatch(kind), words, class_="key")

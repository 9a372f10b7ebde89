"""The end of the page: published figures, remarks, how it was made, what the words mean."""

from pansight.reporting.markup import EMPTY, Html, element
from pansight.reporting.parts import table, value_of
from pansight.reporting.published import Published, sources_of
from pansight.reporting.report import Report

_WORDS = (
    ("segment", "one region of an image: an object of a thing category, or all of one kind of stuff"),
    ("things", "what can be counted: people, cars. Each object is a segment of its own"),
    ("stuff", "what cannot: sky, road. All of a kind in an image is one segment"),
    ("IoU", "intersection over union: the pixels that two regions share, divided by those that either has"),
    ("match", "prediction and truth of one category with an IoU above 0.5; no segment can have two"),
    ("SQ", "segmentation quality: the mean IoU of the matches. How exact are outlines of what is found?"),
    (
        "RQ",
        "recognition quality: matches, divided by matches plus half of the missed and half of the false "
        "segments",
    ),
    ("PQ", "panoptic quality: SQ times RQ for each category, and the mean over the categories"),
    ("void", "pixels that the truth leaves open; nothing is scored there"),
    (
        "crowd",
        "a region of many objects that were not separated; predictions in it are neither right nor wrong",
    ),
)


def appendix(report: Report) -> list[Html]:
    """The sections, those with something in them."""
    return [_published(report), _remarks(report), _made(report)]


def _published(report: Report) -> Html:
    if not report.published:
        return EMPTY
    quality = report.result.panoptic
    fractions = (value_of(group) for group in (quality.all, quality.things, quality.stuff))
    whole, things, stuff = (None if one is None else 100 * one for one in fractions)
    sources = sources_of(report.published)
    rows = [_row(report.subject, "this evaluation", whole, things, stuff, own=True)]
    rows += [_published_row(row, 1 + sources.index(row.source)) for row in report.published]
    heads = ("result", "setting", "PQ", "PQ things", "PQ stuff", "images per second", "source")
    return element(
        "section",
        element("h2", "Published figures for comparison"),
        element(
            "p",
            "Figures that papers and authors report on the data set with these categories. Compare only "
            "what was "
            "scored on the same images: most figures are of the whole validation set.",
            class_="quiet",
        ),
        table(heads, rows, left=("setting",)),
        element("ol", *(element("li", source) for source in sources), class_="plain small quiet"),
    )


def _published_row(row: Published, source: int) -> Html:
    speed = f"{row.fps:g} ({row.hardware})" if row.fps and row.hardware else f"{row.fps:g}" if row.fps else ""
    name = f"{row.method} (this very model)" if row.own else row.method
    return _row(name, row.setting, row.pq, row.things, row.stuff, speed, f"[{source}]")


def _row(
    name: str,
    setting: str,
    pq: float | None,
    things: float | None,
    stuff: float | None,
    speed: str = "",
    source: str = "",
    *,
    own: bool = False,
) -> Html:
    figures = ("–" if value is None else f"{value:.1f}" for value in (pq, things, stuff))
    return element(
        "tr",
        element("td", name, class_="name"),
        element("td", setting, class_="left small"),
        *(element("td", figure) for figure in figures),
        element("td", speed, class_="small"),
        element("td", source, class_="small quiet"),
        class_="own" if own else None,
    )


def _remarks(report: Report) -> Html:
    if not report.problems and not report.result.panoptic.warnings:
        return EMPTY
    parts = []
    for title, lines in (
        ("Not scored, because it could not be used:", report.problems),
        ("Scored, but worth checking:", report.result.panoptic.warnings),
    ):
        if lines:
            parts.append(element("p", title))
            parts.append(element("ul", *(element("li", line) for line in lines), class_="plain small"))
    return element("section", element("h2", "Remarks on the data"), *parts)


def _made(report: Report) -> Html:
    rows = []
    for name, value in (("scored", report.subject), ("truth", report.data), *report.facts):
        rows += [element("dt", name), element("dd", element("code", value) if name == "command" else value)]
    words = [part for word, text in _WORDS for part in (element("dt", word), element("dd", text))]
    return element(
        "section",
        element("h2", "How this was made"),
        element("dl", *rows),
        element("details", element("summary", "What the words mean"), element("dl", *words)),
    )

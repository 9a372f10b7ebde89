"""The sections of the score itself: headline, what it says in words, where points were lost, categories."""

from pansight.metrics.bootstrap import Interval
from pansight.metrics.losses import Losses
from pansight.metrics.results import ClassQuality
from pansight.reporting.causes import CAUSES
from pansight.reporting.markup import EMPTY, Html, element
from pansight.reporting.parts import bar, figure, interval_of, keyed, span, swatch, table, value_of
from pansight.reporting.report import Report
from pansight.reporting.words import sentences


def headline(report: Report) -> Html:
    """Three figures, and what each means."""
    whole = report.result.panoptic.all
    intervals = report.result.intervals
    cards = [
        _card(
            "PQ, panoptic quality",
            value_of(whole, "pq"),
            interval_of(intervals, "all", "pq"),
            "The figure that counts. At 100 every segment is found, named and outlined as in the truth.",
            "card main",
        ),
        _card(
            "SQ, how exact",
            value_of(whole, "sq"),
            interval_of(intervals, "all", "sq"),
            "How well the outlines of what was found agree with the truth.",
            "card",
        ),
        _card(
            "RQ, how complete",
            value_of(whole, "rq"),
            interval_of(intervals, "all", "rq"),
            "How many segments were found, and how few were invented. In each category PQ is SQ times RQ.",
            "card",
        ),
    ]
    return element("div", *cards, class_="cards")


def _card(title: str, value: float | None, interval: Interval | None, words: str, style: str) -> Html:
    return element(
        "div",
        element("h3", title),
        element("div", figure(value), class_="figure"),
        bar(value, "thing", interval),
        element("p", f"95 % interval {span(interval)}") if interval else EMPTY,
        element("p", words),
        class_=style,
    )


def groups(report: Report) -> Html:
    """What the figures say, and the table of things and stuff."""
    quality, intervals = report.result.panoptic, report.result.intervals
    rows = []
    for name, group in (("all", quality.all), ("things", quality.things), ("stuff", quality.stuff)):
        style = "stuff" if name == "stuff" else "thing"
        interval = interval_of(intervals, name)
        rows.append(
            element(
                "tr",
                element("td", EMPTY if name == "all" else swatch(style), name),
                element("td", element("b", figure(value_of(group, "pq")))),
                element("td", bar(value_of(group, "pq"), style, interval), class_="bar"),
                *([element("td", span(interval), class_="quiet small")] if intervals else []),
                element("td", figure(value_of(group, "sq"))),
                element("td", figure(value_of(group, "rq"))),
                element("td", str(group.n if group else 0)),
            )
        )
    heads = ("group", "PQ", "", *(["95 % interval"] if intervals else []), "SQ", "RQ", "categories")
    return element(
        "section",
        element("h2", "In short"),
        element("ul", *(element("li", line) for line in sentences(report.result)), class_="plain"),
        table(heads, rows),
        element(
            "p",
            "Things can be counted (people, cars), stuff cannot (sky, road). A segment is one thing, or all "
            "stuff of a kind in an image. The figure of a group is the mean over its categories, frequent "
            "or rare.",
            class_="quiet small",
        ),
        element(
            "p",
            "The interval tells how far the chance choice of images may have moved the figure.",
            class_="quiet small",
        )
        if intervals
        else EMPTY,
    )


def losses(report: Report) -> Html:
    """One bar of 100 points: what was reached, and what was lost to each cause."""
    lost, quality = report.result.losses.all, report.result.panoptic.all
    if lost is None or quality is None:
        return EMPTY
    points = {cause: getattr(lost, cause.key) for cause in CAUSES}
    parts = [("good", "reached", 100 * quality.pq), *((c.key, c.title, value) for c, value in points.items())]
    stack = [
        element(
            "span",
            f"{value:.1f}" if value >= 4 else "",
            class_=style,
            style=f"width:{max(value, 0):.3f}%",
            title=f"{title}: {value:.2f} points",
        )
        for style, title, value in parts
    ]
    entries = [
        element(
            "li",
            swatch(cause.key),
            element("b", f"{value:.1f}"),
            f" {cause.title}",
            element("p", cause.words),
        )
        for cause, value in sorted(points.items(), key=lambda item: -item[1])
    ]
    return element(
        "section",
        element("h2", "Where points were lost"),
        element(
            "p",
            "Of 100 points ",
            swatch("good"),
            element("b", f"{100 * quality.pq:.1f}"),
            " were reached. Each missing point has one of six causes; the largest is worth fixing first.",
            class_="quiet",
        ),
        element(
            "div",
            *stack,
            class_="stack",
            role="img",
            aria_label=", ".join(f"{title} {value:.1f}" for _, title, value in parts),
        ),
        element("ul", *entries, class_="causes"),
    )


def categories(report: Report) -> Html:
    """One row per category with its bar, the best first."""
    quality = report.result.panoptic
    causes = report.result.losses.classes
    rows_of = zip(quality.classes, report.result.semantic.ious, causes, strict=True)
    rows = [
        _category(one, iou, lost)
        for one, iou, lost in sorted(rows_of, key=lambda row: (-row[0].pq, row[0].category.name))
        if one.counted
    ]
    absent = [one.category.name for one in quality.classes if not one.counted]
    note = EMPTY
    if absent:
        count = (
            "1 category occurs neither in truth nor in prediction, and counts"
            if len(absent) == 1
            else f"{len(absent)} categories occur neither in truth nor in prediction, and count"
        )
        note = element(
            "details",
            element("summary", f"{count} for nothing"),
            element("p", ", ".join(absent), class_="small quiet"),
        )
    return element(
        "section",
        element("h2", "Categories"),
        element(
            "p",
            keyed("thing", "things"),
            keyed("stuff", "stuff"),
            "The paler rest of each bar is what was lost, in the colours above. Found, missed and false "
            "count segments; IoU is over all pixels of the category together.",
            class_="quiet",
        ),
        table(("category", "PQ", "", "SQ", "RQ", "found", "missed", "false", "IoU"), rows),
        note,
    )


def _category(one: ClassQuality, iou: float | None, lost: Losses | None) -> Html:
    rest = [] if lost is None else [(cause.key, getattr(lost, cause.key) / 100) for cause in CAUSES]
    kind = "thing" if one.category.is_thing else "stuff"
    return element(
        "tr",
        element("td", one.category.name, class_="name"),
        element("td", element("b", figure(one.pq))),
        element("td", bar(one.pq, kind, rest=rest), class_="bar"),
        element("td", figure(one.sq)),
        element("td", figure(one.rq)),
        *(element("td", f"{count:,}") for count in (one.tp, one.fn, one.fp)),
        element("td", figure(iou)),
    )

"""The sections of further measures: object sizes, outlines, pixels, mask AP."""

from collections.abc import Iterator

from pansight.metrics.evaluation import EvaluationResult
from pansight.metrics.sizes import SIZES
from pansight.reporting.markup import Html, element
from pansight.reporting.parts import AP_SOURCES, bar, figure, table, value_of
from pansight.reporting.report import Report


def sizes(report: Report) -> Html:
    """Panoptic quality by the size of segments."""
    result = report.result.sizes
    bounds = result.bounds
    small, large = (f"{bound:,.0f}" for bound in (bounds.medium_from, bounds.large_from))
    if bounds.relative:
        small, large = (f"{bound:.2%}" for bound in (bounds.medium_from, bounds.large_from))
    unit = "of the image" if bounds.relative else "pixels"
    words = (f"below {small} {unit}", f"{small} to {large} {unit}", f"{large} {unit} and more")
    rows = []
    for name, span, quality in zip(SIZES, words, (result.small, result.medium, result.large), strict=True):
        found, missed = (sum(getattr(one, key) for one in quality.classes) for key in ("tp", "fn"))
        whole = quality.all
        rows.append(
            element(
                "tr",
                element("td", f"{name} ", element("span", span, class_="quiet small")),
                element("td", element("b", figure(value_of(whole)))),
                element("td", bar(value_of(whole), "thing"), class_="bar"),
                element("td", figure(value_of(whole, "sq"))),
                element("td", figure(value_of(whole, "rq"))),
                element("td", f"{found:,}"),
                element("td", f"{missed:,}"),
            )
        )
    return element(
        "section",
        element("h2", "Sizes"),
        element("p", "Small segments are the hard ones: a few pixels decide.", class_="quiet"),
        table(("segments", "PQ", "", "SQ", "RQ", "found", "missed"), rows),
    )


def further(report: Report) -> Html:
    """Other measures of the same maps: those of pixels, and those that were asked for."""
    rows = [
        element(
            "tr",
            element("td", name),
            element("td", element("b", figure(value))),
            element("td", words, class_="left small quiet name"),
        )
        for name, value, words in _measures(report.result)
    ]
    return element("section", element("h2", "Other measures"), table(("measure", "", ""), rows))


def _measures(result: EvaluationResult) -> Iterator[tuple[str, float | None, str]]:
    yield (
        "mIoU",
        result.semantic.mean_iou,
        "mean IoU of the categories over all pixels, objects not told apart",
    )
    yield "pixel accuracy", result.semantic.accuracy, "share of pixels with the right category"
    if result.boundary is not None:
        words = "PQ that looks at the outlines alone: large segments must be exact, too"
        yield "boundary PQ", value_of(result.boundary.all), words
    if result.ap is not None:
        ap = result.ap
        words = "COCO's average precision of the objects, over overlaps of 0.50 to 0.95"
        yield "mask AP", ap.ap, f"{words}; {AP_SOURCES[ap.source]}"
        yield "AP50", ap.ap50, "at an overlap of 0.50"
        yield "AP75", ap.ap75, "at an overlap of 0.75"
        for name, value in (("small", ap.small), ("medium", ap.medium), ("large", ap.large)):
            yield f"AP, {name}", value, f"of {name} objects alone, as COCO draws the line"

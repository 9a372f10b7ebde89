"""The report as one HTML file that needs nothing else: no script, no font, no image from elsewhere."""

import os
from importlib import resources
from pathlib import Path

from pansight.files import atomic_write
from pansight.reporting.appendix import appendix
from pansight.reporting.causes import CAUSES
from pansight.reporting.gallery import gallery
from pansight.reporting.markup import EMPTY, Html, element, join
from pansight.reporting.measures import further, sizes
from pansight.reporting.report import Report
from pansight.reporting.scores import categories, groups, headline, losses
from pansight.version import __version__


def write_report(path: str | os.PathLike[str], report: Report) -> None:
    """Write the page. Raises InputError, naming the file, when it cannot be written."""
    page = render(report)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="xmlcharrefreplace", newline="\n")


def render(report: Report) -> str:
    """The whole page."""
    # Whole paths, if they are any, stand at the end of the page.
    title = f"{Path(report.subject).name or report.subject} on {Path(report.data).name or report.data}"
    style = resources.files("pansight").joinpath("assets", "report", "report.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", f"Panoptic quality: {title}"),
        element("style", Html(style), Html(_cause_colors())),
    )
    body = element(
        "body",
        element(
            "main",
            *_title(report, title),
            headline(report),
            groups(report),
            losses(report),
            categories(report),
            sizes(report),
            further(report),
            gallery(report),
            *appendix(report),
            element("footer", f"Made by Pansight {__version__}."),
        ),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _cause_colors() -> str:
    return "".join(
        f".{cause.key} {{ background: rgb{cause.color}; fill: rgb{cause.color}; }}\n" for cause in CAUSES
    )


_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser itself sees to it that nothing is fetched."""


def _title(report: Report, title: str) -> list[Html]:
    quality = report.result.panoptic
    counted = sum(one.counted for one in quality.classes)
    images = "1 image" if quality.images == 1 else f"{quality.images:,} images"
    notice = EMPTY
    if report.planned is not None:
        notice = element(
            "p",
            join("This evaluation was stopped: it covers ", images, f" of {report.planned:,}."),
            class_="notice",
        )
    return [
        element("p", "Panoptic evaluation", class_="eyebrow"),
        element("h1", title),
        element(
            "p", f"{images}, {counted} of {len(quality.classes)} categories occur in them", class_="quiet"
        ),
        notice,
    ]

"""The section on the images where most was lost: the truth next to the prediction, and what is wrong."""

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pansight.metrics.worst import WorstPicture
from pansight.reporting.causes import CAUSES
from pansight.reporting.markup import EMPTY, Html, element
from pansight.reporting.mistakes import listed
from pansight.reporting.parts import figure, keyed
from pansight.reporting.report import LostPicture, Panel, Report

_WIDEST = 720
"""Longest side of an embedded image, in pixels: enough to see, small enough to send the page by mail."""


def gallery(report: Report) -> Html:
    """The section; nothing where there are no images."""
    if not report.pictures:
        return EMPTY
    rows = {row.name: row for row in report.result.worst}
    legend = [keyed(cause.key, cause.title.lower()) for cause in CAUSES]
    return element(
        "section",
        element("h2", "Images that lost the most"),
        element(
            "p",
            "Each with the prediction next to the truth. In the last view gray is agreement; colours show "
            "what was lost, and to which cause:",
            class_="quiet",
        ),
        element("p", *legend, class_="small"),
        *(_entry(picture, rows.get(picture.name)) for picture in report.pictures),
    )


def _entry(picture: LostPicture, row: WorstPicture | None) -> Html:
    grid = "panels four" if len(picture.panels) == 4 else "panels"
    words = []
    if picture.missed:
        words.append(f"missed: {listed(picture.missed)}")
    if picture.false:
        words.append(f"false: {listed(picture.false)}")
    lost = EMPTY
    if row is not None:
        points = sorted(
            ((getattr(row.lost, cause.key), cause) for cause in CAUSES), key=lambda item: -item[0]
        )
        lost = element(
            "p",
            "points lost: ",
            *(
                keyed(cause.key, f"{cause.title.lower()} {value:.0f}")
                for value, cause in points
                if value >= 0.5
            ),
            class_="small quiet",
        )
    return element(
        "div",
        element(
            "div",
            element("h3", picture.name),
            EMPTY if row is None else element("b", f"PQ of this image {figure(row.pq)}"),
            class_="head",
        ),
        element("p", "; ".join(words) or "every segment was found, with inexact outlines", class_="small"),
        lost,
        element("div", *(_figure(panel, picture.name) for panel in picture.panels), class_=grid),
        class_="picture",
    )


def _figure(panel: Panel, name: str) -> Html:
    return element(
        "figure",
        element("img", src=jpeg_uri(panel.pixels), alt=f"{name}: {panel.caption}", loading="lazy"),
        element("figcaption", panel.caption),
    )


def jpeg_uri(pixels: UInt8[np.ndarray, "h w 3"]) -> str:
    """RGB pixels as a `data:` address of a JPEG, scaled down where they are large."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((_WIDEST, _WIDEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

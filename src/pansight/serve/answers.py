"""Answers to the client: JSON with the panoptic PNG, that PNG alone, run lengths, an overlay."""

import base64
import io
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from PIL import Image

from pansight.drawing.overlays import overlay
from pansight.drawing.painting import segment_rows
from pansight.panoptic import PanopticMap
from pansight.runtime.engines.protocol import Rgb
from pansight.serve.png import ids_png
from pansight.serve.rle import segment_counts

_JPEG_LIMIT = 65_500
"""Longest side of a JPEG, in pixels."""


ROWS_TYPE = "application/vnd.pansight.rows"
"""Media type of `Form.ROWS`, whose pixels are always framed by their header."""


class Form(str, Enum):
    """How a map is written."""

    JSON = "json"
    PNG = "png"
    OVERLAY = "overlay"
    RLE = "rle"
    ROWS = "rows"


@dataclass(frozen=True)
class Written:
    """A map as bytes of a media type; `header` is the JSON that goes with the pixels."""

    content: bytes
    media_type: str
    header: dict[str, Any]


def segment_rows_json(panoptic: PanopticMap) -> list[dict[str, Any]]:
    """One object for each segment; `bbox` is x, y, width, height in pixels, `area` counts pixels."""
    rows = []
    for segment in panoptic.segments:
        category = panoptic.categories[segment.category]
        rows.append(
            {
                "id": segment.id,
                "category": segment.category,
                "category_id": category.dataset_id,
                "name": category.name,
                "isthing": category.is_thing,
                "score": None if segment.score is None else round(segment.score, 6),
                "area": segment.area,
                "bbox": list(segment.box),
            }
        )
    return rows


def write(form: Form, image: Rgb, panoptic: PanopticMap, more: Mapping[str, Any]) -> Written:
    """The map in that form; `more` is added to the JSON. `image` is drawn on for the overlay.

    The panoptic PNG alone carries the segments in its text chunk "segments".
    """
    header = {
        "width": panoptic.width,
        "height": panoptic.height,
        "segments": segment_rows_json(panoptic),
        **more,
    }
    if form is Form.PNG:
        return Written(ids_png(panoptic.ids, json.dumps(header)), "image/png", header)
    if form is Form.OVERLAY:
        return _picture(overlay(image, panoptic), header)
    if form is Form.ROWS:
        return _rows(panoptic, header)
    if form is Form.RLE:
        counts = segment_counts(panoptic)
        for row in header["segments"]:
            row["segmentation"] = {"size": [panoptic.height, panoptic.width], "counts": counts[row["id"]]}
    else:
        header["panoptic_png"] = base64.b64encode(ids_png(panoptic.ids)).decode("ascii")
    return Written(json.dumps(header).encode(), "application/json", header)


def framed(written: Written) -> bytes:
    """Header and pixels in one message: length of the header (uint32, little-endian), JSON, pixels."""
    text = json.dumps({**written.header, "media_type": written.media_type}).encode()
    return struct.pack("<I", len(text)) + text + written.content


def _picture(pixels: Rgb, header: dict[str, Any]) -> Written:
    kind = "jpeg" if max(pixels.shape) <= _JPEG_LIMIT else "png"
    file = io.BytesIO()
    # no chroma subsampling: it would smear the thin coloured lines
    options: dict[str, Any] = {"quality": 90, "subsampling": 0} if kind == "jpeg" else {"compress_level": 1}
    Image.fromarray(pixels).save(file, kind, **options)
    return Written(file.getvalue(), f"image/{kind}", header)


def _rows(panoptic: PanopticMap, header: dict[str, Any]) -> Written:
    """The smallest and fastest: 0 for void, else 1 + the segment's place in the list, a byte or two each."""
    rows = segment_rows(panoptic)
    rows = rows.astype(np.uint8 if rows.dtype.itemsize == 1 else "<u2", copy=False)
    header["bytes"] = rows.dtype.itemsize
    return Written(zlib.compress(rows.tobytes(), 1), ROWS_TYPE, header)

"""What pycocotools says of mask AP, number by number."""

import contextlib
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from jaxtyping import Bool

from pansight.categories import Categories
from pansight.metrics.average_precision import AveragePrecisionResult
from pansight.panoptic import PanopticMap

Detection = tuple[Bool[np.ndarray, "h w"], int, float | None]
"""mask, category, score"""


def numbers(result: AveragePrecisionResult | None) -> list[float | None]:
    """Ours, in the order of `judge`."""
    assert result is not None
    return [result.ap, result.ap50, result.ap75, result.small, result.medium, result.large, *result.classes]


def assert_same(ours: list[float | None], theirs: list[float | None]) -> None:
    """None in the same places, and the same numbers elsewhere."""
    assert [one is None for one in ours] == [one is None for one in theirs]
    assert ours == pytest.approx(theirs, abs=1e-12)


def judge(
    categories: Categories, images: Iterable[tuple[Iterable[Detection], PanopticMap]]
) -> list[float | None]:
    """The answer of pycocotools to detections and the truth of each image."""
    from pycocotools import mask as coding
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def row(rows: list[dict[str, Any]], image: int, mask: np.ndarray, category: int) -> dict[str, Any]:
        return {
            "id": len(rows) + 1,
            "image_id": image,
            "category_id": category + 1,
            "segmentation": coding.encode(np.asfortranarray(mask, dtype=np.uint8)),
            "area": int(mask.sum()),
        }

    sizes: list[dict[str, int]] = []
    truths: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for image, (found, truth) in enumerate(images, start=1):
        sizes.append({"id": image, "height": truth.height, "width": truth.width})
        for thing in truth.things():
            crowd = {"iscrowd": int(thing.is_crowd)}
            truths.append(row(truths, image, truth.mask(thing.id), thing.category) | crowd)
        for mask, category, score in found:
            detections.append(row(detections, image, mask, category) | {"score": score})
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": sizes,
        "categories": [{"id": int(index) + 1, "name": str(index)} for index in categories.thing_indices],
        "annotations": truths,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(detections), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    per_class: list[float | None] = [None] * len(categories)
    for position, index in enumerate(categories.thing_indices.tolist()):
        per_class[index] = evaluation.eval["precision"][:, :, position, 0, 2].mean()
    whole = [float(value) for value in evaluation.stats[:6]]
    return [None if value is None or value == -1 else float(value) for value in [*whole, *per_class]]

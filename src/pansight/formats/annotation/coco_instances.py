"""COCO instances out: every thing as an annotation with its mask as packed run lengths."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pansight.formats.annotation.door import AnnotationWriter, Picture, Written, write_text
from pansight.formats.annotation.losses import NO_STUFF, Lost
from pansight.formats.coco_masks import encode_mask
from pansight.panoptic import PanopticMap


def instance_rows(panoptic: PanopticMap, image_id: int | str) -> list[dict[str, Any]]:
    """The annotations of an image, without ids; scores where segments have them."""
    return [
        {
            "image_id": image_id,
            "category_id": int(panoptic.categories[segment.category].dataset_id),
            "segmentation": encode_mask(panoptic.mask(segment.id)),
            "area": segment.area,
            "bbox": list(segment.box),
            "iscrowd": int(segment.is_crowd),
            **({} if segment.score is None else {"score": segment.score}),
        }
        for segment in panoptic.things()
    ]


class CocoInstancesWriter(AnnotationWriter):
    """instances.json, which FiftyOne, CVAT and others import; stuff is left out, and counted."""

    @property
    def targets(self) -> tuple[Path, ...]:
        return (*super().targets, self.folder / "instances.json")

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        size = {"width": panoptic.width, "height": panoptic.height}
        image = {"id": picture.id, **size, "file_name": picture.name}
        lost = tuple(
            Lost(NO_STUFF, f"segment {one.id} ({panoptic.categories[one.category].name})")
            for one in panoptic.stuff()
        )
        return Written((json.dumps(image), instance_rows(panoptic, picture.id)), lost)

    def _save(self, rows: Sequence[Any]) -> Path:
        annotations = [row for _, listed in rows for row in listed]
        content = {
            "images": [json.loads(image) for image, _ in rows],
            "annotations": [{"id": number, **row} for number, row in enumerate(annotations, start=1)],
            "categories": [
                {"id": int(item.dataset_id), "name": item.name, "supercategory": item.supercategory}
                for item in self.categories
                if item.is_thing
            ],
        }
        return write_text(self.folder / "instances.json", json.dumps(content))

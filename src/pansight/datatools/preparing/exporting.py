"""Panoptic truth in the forms that other tools need: Cityscapes, a semantic map, COCO instances.

An export loses what its form cannot hold: Cityscapes joins the crowds of a class, a semantic map
knows no objects, COCO instances no stuff.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt16

from pansight.datatools.preparing.lost_objects import Counts
from pansight.datatools.preparing.plan import TruthSource, png_names
from pansight.datatools.preparing.writing import (
    Conversion,
    Outcome,
    is_hopeless,
    keep_sources,
    take_truth,
    write_json,
    write_png,
)
from pansight.errors import CategoryError, InputError
from pansight.files import make_folder
from pansight.formats.annotation.coco_instances import instance_rows
from pansight.formats.annotation.losses import NO_STUFF, Lost
from pansight.panoptic import PanopticMap, Segment

_NO_CLASS = 255
"""Value of void in a semantic map of 8 bits; 65535 in one of 16 bits."""


class Form(str, Enum):
    """What is written: NAME_instanceIds.png and NAME_labelIds.png, NAME.png of classes, or instances.json."""

    CITYSCAPES = "cityscapes"
    SEMANTIC = "semantic"
    INSTANCES = "instances"


class Export(Conversion):
    """Writes every sample of a data set in another form.

    `cityscapes`: NAME_gtFine_instanceIds.png and NAME_gtFine_labelIds.png as in the data set's gtFine, for
    which the category ids must be labelIds 1..64. `semantic`: NAME.png, the contiguous index of every pixel,
    void 255 (16 bits and 65535 for more than 255 classes), and classes.json, the categories
    in this order, `value` being the number in the PNG.
    `instances`: instances.json, every thing an annotation with its mask as packed run lengths; FiftyOne, CVAT
    and others import it.
    """

    def __init__(self, source: TruthSource, folder: Path, form: Form, workers: int = 1) -> None:
        """Raises InputError when the folder cannot be made, or is one that is read, CategoryError when the
        classes do not fit.
        """
        if form is Form.CITYSCAPES and not all(0 < id < 65 for id in source.categories.dataset_ids.tolist()):
            raise CategoryError(
                f"the ids of {source.categories.name} are not Cityscapes labelIds (1..64); "
                "open the data with --categories cityscapes or a JSON with such ids"
            )
        keep_sources(source, folder, folder / "instances.json", folder / "classes.json")
        names, ids = tuple(source.names), tuple(source.image_ids)
        task = _Task(source, folder, form, names, ids, tuple(_stems(names)))
        super().__init__(task, len(names), workers)
        self.folder = folder
        self.form = form
        self._categories = source.categories
        make_folder(folder)

    def save(self) -> Path:
        if self.form is Form.INSTANCES:
            return write_json(self.folder / "instances.json", self._instances())
        if self.form is Form.SEMANTIC:
            rows = [{**row, "value": value} for value, row in enumerate(self._categories.to_json())]
            write_json(self.folder / "classes.json", rows)
        return self.folder

    def when_stopped(self) -> str:
        if self.form is Form.INSTANCES:
            return "nothing was written: instances.json is written at the end"
        return f"{self.written} images are in {self.folder}; the same command rewrites them all"

    def _instances(self) -> dict[str, Any]:
        annotations = [row for _, rows in self.rows for row in rows]
        return {
            "images": [image for image, _ in self.rows],
            "annotations": [{"id": number, **row} for number, row in enumerate(annotations, start=1)],
            "categories": [
                {"id": item.dataset_id, "name": item.name, "supercategory": item.supercategory}
                for item in self._categories
                if item.is_thing
            ],
        }


@dataclass(frozen=True)
class _Task:
    source: TruthSource
    folder: Path
    form: Form
    names: tuple[str, ...]
    image_ids: tuple[int | str, ...]
    stems: tuple[str, ...]

    def __call__(self, index: int) -> Outcome:
        name = self.names[index]
        taken = take_truth(self.source, index, name)
        if isinstance(taken, Outcome):
            return taken
        truth = taken.truth
        counts = Counts(taken.objects, taken.crowds, len(truth.segments), taken.lost)
        stem = self.folder / self.stems[index]
        try:
            if self.form is Form.INSTANCES:
                left_out = ((one.id, truth.categories[one.category].name) for one in truth.stuff())
                lost = (Lost(NO_STUFF, f"{name}, segment {id} ({label})") for id, label in left_out)
                counts = counts._replace(lost=(*counts.lost, *lost))
                return Outcome(name, self._instances(index, truth), counts=counts)
            if self.form is Form.SEMANTIC:
                write_png(stem.with_name(f"{stem.name}.png"), semantic_picture(truth))
            else:
                instance_ids, label_ids = cityscapes_pictures(truth)
                write_png(stem.with_name(f"{stem.name}_gtFine_instanceIds.png"), instance_ids)
                write_png(stem.with_name(f"{stem.name}_gtFine_labelIds.png"), label_ids)
        except InputError as error:
            return Outcome(name, problem=str(error), fatal=is_hopeless(error))
        return Outcome(name, counts=counts)

    def _instances(self, index: int, truth: PanopticMap) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        id = self.image_ids[index]
        size = {"width": truth.width, "height": truth.height}
        return {"id": id, **size, "file_name": self.names[index]}, instance_rows(truth, id)


def semantic_picture(panoptic: PanopticMap) -> UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]:
    """The contiguous index of every pixel's category; void is 255, with more than 255 categories 65535."""
    if len(panoptic.categories) <= _NO_CLASS:
        return panoptic.semantic(_NO_CLASS).astype(np.uint8)
    return panoptic.semantic(65535).astype(np.uint16)


def cityscapes_pictures(panoptic: PanopticMap) -> tuple[UInt16[np.ndarray, "h w"], UInt8[np.ndarray, "h w"]]:
    """instanceIds (labelId, for objects labelId * 1000 + n) and labelIds; void is 0.

    The n of objects are their own where the map's ids are such numbers already, else counted from 0.
    Raises InputError when a category has more than 1000 objects.
    """
    labels = panoptic.categories.dataset_ids.tolist()
    ready = all(
        segment.id // (1000 if _is_counted(panoptic, segment) else 1) == labels[segment.category]
        for segment in panoptic.segments
    )
    instance_ids = panoptic.ids if ready else panoptic.to_cityscapes()
    label_ids = panoptic.paint([labels[segment.category] for segment in panoptic.segments])
    return instance_ids.astype(np.uint16), label_ids.astype(np.uint8)


def _is_counted(panoptic: PanopticMap, segment: Segment) -> bool:
    return panoptic.categories[segment.category].is_thing and not segment.is_crowd


def _stems(names: Sequence[str]) -> list[str]:
    """Where a sample's files go; Cityscapes' own images lose the part that says what they are."""
    stems = [str(PurePosixPath(name).with_suffix("")) for name in png_names(names)]
    shorter = [stem.removesuffix("_leftImg8bit").removesuffix("_gtFine") for stem in stems]
    return shorter if len(set(shorter)) == len(shorter) else stems

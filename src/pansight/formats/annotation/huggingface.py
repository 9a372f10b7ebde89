"""Panoptic labels as Hugging Face `datasets` holds them: an RGB id PNG and segments_info in every row.

On disk this is an ImageFolder with metadata.jsonl, which `load_dataset("imagefolder", data_dir=FOLDER)`
opens as columns image, label and segments_info; the package is not needed here. `to_example` and
`from_example` are the same for rows in memory. There is no panoptic feature in `datasets`; these columns are
the usual ones, and exact through parquet.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.formats.annotation.door import (
    AnnotationReader,
    AnnotationWriter,
    ClassRow,
    Picture,
    Written,
    write_image,
    write_text,
)
from pansight.formats.annotation.id_maps import objects_in
from pansight.formats.annotation.objects import AnnotatedImage
from pansight.formats.coco_files import is_crowd_flag, read_ids
from pansight.panoptic import PanopticMap, ids_to_rgb

_TABLE = "metadata.jsonl"


def to_example(panoptic: PanopticMap, image: Any = None) -> dict[str, Any]:
    """A row: "label", an RGB Pillow image of ids, "segments_info", and "image" if it is given.

    segments_info: id, category_id (the data set's), iscrowd, area, bbox (x, y, width, height), and score
    where a segment has one. Features: `Image()`, `Image()` and a `List` of these.
    """
    rgb, annotation = panoptic.to_coco(0, "")
    row = {"label": Image.fromarray(rgb), "segments_info": annotation["segments_info"]}
    return row if image is None else {"image": image, **row}


def from_example(row: Mapping[str, Any], categories: Categories) -> PanopticMap:
    """The map of a row with "label" (Pillow image or array, RGB ids) and "segments_info".

    Raises DataError when they do not fit together, CategoryError for an unknown category id.
    """
    info = row["segments_info"]
    if isinstance(info, Mapping):  # a dict of lists, as `Sequence` features give it
        info = [dict(zip(info, values, strict=True)) for values in zip(*info.values(), strict=True)]
    label = np.asarray(row["label"])
    return PanopticMap.from_coco(label, {"file_name": "label", "segments_info": list(info)}, categories)


def is_huggingface(path: Path) -> bool:
    """Whether the location has a metadata.jsonl with segments_info."""
    file = path / _TABLE if path.is_dir() else path
    if file.name != _TABLE or not file.is_file():
        return False
    with file.open(encoding="utf-8") as opened:
        return '"segments_info"' in opened.readline()


class HuggingFaceReader(AnnotationReader):
    """The rows of metadata.jsonl; names of classes come from classes.json next to it, or from
    `categories`."""

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """Raises DataError when the table cannot be read, or there is no classes.json next to it."""
        self.where = path / _TABLE if path.is_dir() else path
        try:
            lines = self.where.read_text(encoding="utf-8").splitlines()
            rows = [json.loads(line) for line in lines if line.strip()]
        except (OSError, ValueError) as error:
            raise DataError(f"{self.where}: cannot be read ({error}); check the file") from error
        own = self.where.with_name("classes.json")
        if not own.is_file():
            raise DataError(f"{self.where}: category ids have no names; put a classes.json next to it")
        self._names = {c.dataset_id: c.name for c in Categories.from_file(own)}
        self.classes = [
            ClassRow(c.name, c.is_thing, c.dataset_id, c.color) for c in Categories.from_file(own)
        ]
        self._rows = lines = [json.dumps(row) for row in rows]
        self.names = [str(row.get("file_name", "")).removeprefix("images/") for row in rows]
        self.image_ids = [row.get("image_id", number) for number, row in enumerate(rows, start=1)]

    def read(self, index: int) -> AnnotatedImage:
        row, name = json.loads(self._rows[index]), self.names[index]
        rows = []
        for one in row.get("segments_info") or ():
            try:
                label = self._names[int(one["category_id"])]
                rows.append((int(one["id"]), label, is_crowd_flag(one.get("iscrowd")), one.get("score")))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{self.where}: {name} has a segment without a known category ({error})"
                ) from error
        return objects_in(read_ids(self.where.parent / str(row.get("label_file_name"))), rows, name)


class HuggingFaceWriter(AnnotationWriter):
    """metadata.jsonl and labels/NAME.png; the images belong in images/. Ids are those of the map."""

    @property
    def targets(self) -> tuple[Path, ...]:
        return (*super().targets, self.folder / _TABLE)

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        name = f"labels/{picture.stem}.png"
        path = write_image(self.folder / name, ids_to_rgb(panoptic.ids))
        _, annotation = panoptic.to_coco(0, "")
        row = {
            "file_name": f"images/{picture.name}",
            "label_file_name": name,
            "image_id": picture.id,
            "segments_info": annotation["segments_info"],
        }
        return Written(json.dumps(row), files=(path,))

    def _save(self, rows: Sequence[Any]) -> Path:
        write_text(self.folder / _TABLE, "".join(f"{row}\n" for row in rows))
        return self.folder

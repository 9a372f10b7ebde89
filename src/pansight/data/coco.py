"""The reader of COCO panoptic data: a JSON of annotations, a folder of id pictures, a folder of pictures.

Source: https://cocodataset.org/#format-data, section 4. Cityscapes, ADE20K and Mapillary Vistas come in
this form too, and so can anyone's own labels.
"""

import operator
import os
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int64

from pansight.categories import Categories
from pansight.coco_files import picture_folder, read_ids, read_json
from pansight.codec import ID_LIMIT
from pansight.data.pictures import read_picture
from pansight.data.sample import Sample
from pansight.errors import CategoryError, DataError, DataProblemsError, InputError
from pansight.panoptic import PanopticMap

PathLike = str | os.PathLike[str]

_SUFFIXES = (".jpg", ".png", ".jpeg", ".webp", ".JPG", ".JPEG", ".PNG")
"""Tried in this order where the listed name of a picture does not exist."""


class CocoPanoptic:
    """COCO panoptic data as a lazy sequence: `len(data)`, `data[i] -> Sample`, in the annotations' order.

    The JSON is checked whole at once; pictures are opened when a sample is asked for. What stays in memory is
    compact (13 bytes a segment), so that the worker processes of a loader can share it.
    """

    def __init__(
        self,
        annotations: PathLike,
        images: PathLike,
        panoptic: PathLike | None = None,
        categories: Categories | None = None,
    ) -> None:
        """Open the JSON file `annotations` with the pictures in the folder `images`.

        `panoptic`: the folder of the id pictures; by default beside the JSON and named like it.
        `categories`: the set to speak in; by default that of the JSON. Given both, categories of the JSON
        are found in `categories` by name; a JSON without categories must use the data-set ids of
        `categories`. A JSON without `images` has the pictures named like the id pictures, whatever their
        ending.

        Raises DataError when the JSON cannot be read, DataProblemsError with all that is wrong in it.
        """
        self.annotations = Path(annotations)
        self.images = Path(images)
        self.panoptic = picture_folder(annotations, panoptic)
        content = read_json(annotations)
        self.categories, index = _match_categories(self.annotations, content.get("categories"), categories)
        listed = content.get("images")
        names = {
            image["id"]: image["file_name"]
            for image in (listed if isinstance(listed, list) else ())
            if isinstance(image, dict) and "file_name" in image and isinstance(image.get("id"), int | str)
        }
        self._read(content["annotations"], names, index)

    def __len__(self) -> int:
        return len(self._image_ids)

    def __getitem__(self, index: SupportsIndex) -> Sample:
        """Decode sample `index`. Raises DataError, naming the file and the id, when it is broken."""
        position = self._position(index)
        panoptic = self.truth(position)
        file = self._image_file(position)
        return Sample(
            image=read_picture(file, panoptic.height, panoptic.width),
            panoptic=panoptic,
            image_id=self._image_ids[position],
            file_name=self._image_names[position],
        )

    def truth(self, index: SupportsIndex) -> PanopticMap:
        """The panoptic map of sample `index` alone, its picture left closed. Raises DataError when broken."""
        position = self._position(index)
        path = self.panoptic / self._panoptic_names[position]
        rows = slice(*self._offsets[position : position + 2].tolist())
        table = zip(
            self._ids[rows].tolist(),
            self._categories[rows].tolist(),
            [None] * (rows.stop - rows.start),
            self._crowd[rows].tolist(),
            strict=True,
        )
        try:
            return PanopticMap.from_table(read_ids(path), table, self.categories)
        except InputError as error:
            image_id = self._image_ids[position]
            raise DataError(
                f"{path}: does not fit image {image_id!r} of {self.annotations.name}: {error}"
            ) from error

    def __repr__(self) -> str:
        return f"CocoPanoptic({str(self.annotations)!r}: {len(self)} images, {self.categories!r})"

    def _position(self, index: SupportsIndex) -> int:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"sample {position} of {len(self)} in {self.annotations}")
        return position % len(self)

    def _image_file(self, position: int) -> Path:
        listed = self.images / self._image_names[position]
        others = (listed.with_suffix(suffix) for suffix in _SUFFIXES)
        return next((path for path in (listed, *others) if path.is_file()), listed)

    def _read(self, annotations: list[Any], names: dict[Any, Any], index: dict[int, int]) -> None:
        """Check the annotations and keep them as arrays: one row a segment, images one after the other."""
        problems: list[str] = []
        self._image_ids: list[int | str] = []
        self._image_names: list[str] = []
        self._panoptic_names: list[str] = []
        segments: list[tuple[int, int, bool]] = []
        offsets = [0]
        seen = set()
        for position, annotation in enumerate(annotations):
            fault = _fault(annotation)
            if fault:
                problems.append(f"{self.annotations}: annotation {position} {fault}")
                continue
            image_id = annotation["image_id"]
            where = f"{self.annotations}: image {image_id!r}"
            if image_id in seen:
                problems.append(f"{where} is annotated twice")
            seen.add(image_id)
            segments += _segments(annotation["segments_info"], index, where, self.categories.name, problems)
            offsets.append(len(segments))
            self._image_ids.append(image_id)
            self._panoptic_names.append(annotation["file_name"])
            self._image_names.append(str(names.get(image_id, annotation["file_name"])))
        if not annotations:
            problems.append(f"{self.annotations}: no annotations in it")
        if problems:
            raise DataProblemsError(f"{self.annotations}: cannot be used as it is; correct this:", problems)
        self._offsets: Int64[np.ndarray, "n"] = np.array(offsets, dtype=np.int64)
        self._ids = np.array([row[0] for row in segments], dtype=np.int64)
        self._categories = np.array([row[1] for row in segments], dtype=np.int32)
        self._crowd = np.array([row[2] for row in segments], dtype=np.bool_)


def _match_categories(path: Path, rows: Any, wanted: Categories | None) -> tuple[Categories, dict[int, int]]:
    """The categories to speak in, and the contiguous index of each id in the file."""
    if not rows:
        if wanted is None:
            raise DataError(
                f'{path}: no "categories" in it; pass categories=, such as Categories.builtin("coco")'
            )
        return wanted, dict(wanted.dataset_index)
    try:
        own = Categories.from_json(rows, name=path.name)
    except (CategoryError, TypeError) as error:
        raise DataError(f"{path}: {error}") from error
    if wanted is None:
        return own, dict(own.dataset_index)
    problems = []
    index = {}
    for category in own:
        try:
            index[category.dataset_id] = wanted.index(category.name)
        except CategoryError as error:
            problems.append(f"{path}: {error}")
            continue
        if wanted[index[category.dataset_id]].is_thing != category.is_thing:
            kinds = ("a thing", "stuff") if category.is_thing else ("stuff", "a thing")
            problems.append(f"{path}: {category.name!r} is {kinds[0]} here, {kinds[1]} in {wanted.name}")
    if problems:
        raise DataProblemsError(f"{path}: its categories do not fit {wanted.name}:", problems)
    return wanted, index


def _fault(annotation: Any) -> str:
    """What keeps an annotation from being used, or nothing."""
    if not isinstance(annotation, dict):
        return "is no object"
    missing = [key for key in ("image_id", "file_name", "segments_info") if key not in annotation]
    if missing:
        return f"lacks {' and '.join(missing)}"
    if not isinstance(annotation["image_id"], int | str):
        return f"has image_id {annotation['image_id']!r}, which is neither a number nor a text"
    if not isinstance(annotation["file_name"], str) or not isinstance(annotation["segments_info"], list):
        return "has a file_name that is no text, or segments_info that is no list"
    return ""


def _segments(
    rows: list[Any], index: dict[int, int], where: str, known: str, problems: list[str]
) -> list[tuple[int, int, bool]]:
    """(id, contiguous category, crowd) of each well-formed row; the others go to `problems`."""
    segments = []
    seen = set()
    for row in rows:
        id = row.get("id") if isinstance(row, dict) else None
        category_id = row.get("category_id") if isinstance(row, dict) else None
        if not isinstance(id, int) or not isinstance(category_id, int):
            problems.append(f"{where}: segment {row!r:.80} needs id and category_id, whole numbers")
        elif not 0 < id < ID_LIMIT:
            problems.append(f"{where}: segment id {id} is not in 1..{ID_LIMIT - 1}")
        elif id in seen:
            problems.append(f"{where}: segment {id} is listed twice")
        elif category_id not in index:
            problems.append(
                f"{where}: segment {id} has category_id {category_id}, which {known} does not have"
            )
        else:
            segments.append((id, index[category_id], bool(row.get("iscrowd", 0))))
        if isinstance(id, int):
            seen.add(id)
    return segments

"""The reader of COCO panoptic data: a JSON of annotations, a folder of panoptic PNGs, a folder of images.

Source: https://cocodataset.org/#format-data, section 4. Cityscapes, ADE20K and Mapillary Vistas come in
this form too, as can anyone's own labels.
"""

import math
import operator
import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int64

from pansight.categories import Categories
from pansight.data.class_names import match_categories
from pansight.data.folders import DiskFolder, Folder, Source, existing_folder, open_folder
from pansight.data.instances_files import instances_advice
from pansight.data.pictures import read_file, read_picture
from pansight.data.sample import Sample
from pansight.errors import CategoryError, DataError, DataProblemsError, InputError
from pansight.formats.coco_files import (
    decode_ids,
    is_crowd_flag,
    is_instances_file,
    misplaced_hint,
    read_json,
)
from pansight.panoptic import PanopticMap
from pansight.panoptic.ids import ID_LIMIT

PathLike = str | os.PathLike[str]

_SUFFIXES = (".jpg", ".png", ".jpeg", ".webp", ".JPG", ".JPEG", ".PNG")
"""Tried in this order where the listed name of an image does not exist."""
IMAGES = "images_folder"
"""The key of `info` that says where the images are, relative to the JSON"""
PROBED = 5
"""Samples whose files are looked for to see whether a folder is the one"""
_CITYSCAPES_ENDING = re.compile(r"_gtFine_(leftImg8bit|panoptic)\.png$")


class CocoPanoptic:
    """COCO panoptic data as a lazy sequence: `len(data)`, `data[i] -> Sample`, in the annotations' order.

    Images and panoptic PNGs may lie in folders or in zip archives, which are read in place. The JSON is
    checked completely at once; images are opened when a sample is requested. What stays in memory is compact
    (13 bytes per segment), so that the worker processes of a loader can share it.
    """

    def __init__(
        self,
        annotations: PathLike,
        images: PathLike | None,
        panoptic: PathLike | None = None,
        categories: Categories | None = None,
        *,
        own_categories: Categories | None = None,
    ) -> None:
        """Open the JSON file `annotations` with the images in the folder or archive `images`.

        `images`: None where only the truth is wanted; samples then raise DataError.
        `panoptic`: the folder or archive of the panoptic PNGs; by default next to the JSON, with its name.
        `categories`: the set to use; by default that of the JSON. Given both, those categories of the
        JSON that have segments are found in `categories` by name, see `class_names`.
        `own_categories`: what the ids of a JSON without categories mean; by default those of `categories`.

        A JSON without `images` has the images named like the panoptic PNGs, whatever their ending.

        Raises DataError when a folder or the JSON cannot be read, DataProblemsError with all that is wrong in
        it.
        """
        self.annotations = Path(annotations)
        content = read_json(annotations)
        if is_instances_file(content):
            raise DataError(instances_advice(self.annotations))
        self.categories, index = _match(
            self.annotations,
            content.get("categories") or own_categories,
            categories,
            _used(content["annotations"]),
        )
        said = content.get("info")
        where = said.get(IMAGES) if isinstance(said, dict) else None
        self.said_pictures = self.annotations.parent / where if isinstance(where, str) and where else None
        """Where the JSON says that the images are; `pansight data convert` writes it."""
        listed = content.get("images")
        names = {
            image["id"]: image["file_name"]
            for image in (listed if isinstance(listed, list) else ())
            if isinstance(image, dict) and "file_name" in image and isinstance(image.get("id"), int | str)
        }
        self._read(content["annotations"], names, index)
        self._masks = open_folder(panoptic if panoptic is not None else self._mask_folder())
        self._pictures: Folder | None = None
        if images is not None:
            self.set_pictures(images)

    def set_pictures(self, images: PathLike) -> None:
        """Take the images from this folder or archive. Raises DataError when there is none."""
        self._pictures = open_folder(images)

    def look_for_pictures(self, places: Iterable[Path]) -> bool:
        """Take the images from the first of these folders and archives that has some; whether one has."""
        for place in places:
            path = existing_folder(place)
            if path is None or path.absolute() == Path(str(self._masks)).absolute():
                continue
            folder = open_folder(path)
            if any(find_picture(folder, name) for name in self._image_names[:PROBED]):
                self._pictures = folder
                return True
        return False

    @property
    def names(self) -> tuple[str, ...]:
        """The file name of each image, as the data set lists it."""
        return self._image_names

    @property
    def image_ids(self) -> tuple[int | str, ...]:
        """The id of each image."""
        return self._image_ids

    @property
    def segment_counts(self) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
        """Segments of each category that are not crowds, and those that are, as the JSON lists them."""
        length = len(self.categories)
        single, crowd = (
            np.bincount(self._categories[self._crowd == flag], minlength=length) for flag in (False, True)
        )
        return single.astype(np.int64), crowd.astype(np.int64)

    @property
    def reads(self) -> tuple[Path, ...]:
        """The JSON, and the folders on disk that samples are read from: nothing may be written there."""
        folders = (self._masks, self._pictures)
        return self.annotations, *(one.path for one in folders if isinstance(one, DiskFolder))

    def __len__(self) -> int:
        return len(self._image_ids)

    def __getitem__(self, index: SupportsIndex) -> Sample:
        """Decode sample `index`. Raises DataError, naming the file and the id, when it is broken."""
        position = self._position(index)
        panoptic = self.truth(position)
        name = self._image_names[position]
        if self._pictures is None:
            raise DataError(
                f"{name}: the folder of the images of {self.annotations} is unknown; give it (--images)"
            )
        file = find_picture(self._pictures, name)
        if file is None:
            hint = misplaced_hint(str(self._pictures), name)
            raise DataError(f"{self._pictures}/{name}: no such file{hint}; check the folder of the images")
        return Sample(
            image=read_picture(file, panoptic.height, panoptic.width),
            panoptic=panoptic,
            image_id=self._image_ids[position],
            file_name=name,
        )

    def truth(self, index: SupportsIndex) -> PanopticMap:
        """The panoptic map of sample `index` alone, its image left closed. Raises DataError when broken."""
        position = self._position(index)
        name = self._panoptic_names[position]
        file = find_id_picture(self._masks, name)
        if file is None:
            hint = misplaced_hint(str(self._masks), name)
            raise DataError(
                f"{self._masks}/{name}: no such file{hint}; check the folder of the panoptic PNGs"
            )
        rows = slice(*self._offsets[position : position + 2].tolist())
        table = zip(
            self._ids[rows].tolist(),
            self._categories[rows].tolist(),
            [None if np.isnan(score) else score for score in self._scores[rows].tolist()],
            self._crowd[rows].tolist(),
            strict=True,
        )
        ids = decode_ids(read_file(file, "panoptic PNGs"), str(file))
        try:
            return PanopticMap.from_table(ids, table, self.categories)
        except InputError as error:
            image_id = self._image_ids[position]
            raise DataError(
                f"{file}: does not fit image {image_id!r} of {self.annotations.name}: {error}"
            ) from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.annotations)!r}: {len(self)} images, {self.categories!r})"

    def _position(self, index: SupportsIndex) -> int:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"sample {position} of {len(self)} in {self.annotations}")
        return position % len(self)

    def _mask_folder(self) -> Path:
        places = id_picture_places(self.annotations)
        for place in filter(None, map(existing_folder, places)):
            if any(find_id_picture(open_folder(place), name) for name in self._panoptic_names[:PROBED]):
                return place
        return existing_folder(places[0]) or places[0]

    def _read(self, annotations: list[Any], names: dict[Any, Any], index: dict[int, int]) -> None:
        """Check the annotations and keep them as arrays: one row per segment, images one after the other."""
        problems: list[str] = []
        image_ids: list[int | str] = []
        image_names: list[str] = []
        self._panoptic_names: list[str] = []
        segments: list[tuple[int, int, bool, float]] = []
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
            image_ids.append(image_id)
            self._panoptic_names.append(annotation["file_name"])
            image_names.append(str(names.get(image_id, annotation["file_name"])))
        if not annotations:
            problems.append(f"{self.annotations}: no annotations in it")
        if problems:
            raise DataProblemsError(
                f"{self.annotations}: cannot be used as it is; fix the following:", problems
            )
        self._image_ids, self._image_names = tuple(image_ids), tuple(image_names)
        self._offsets: Int64[np.ndarray, "n"] = np.array(offsets, dtype=np.int64)
        self._ids = np.array([row[0] for row in segments], dtype=np.int64)
        self._categories = np.array([row[1] for row in segments], dtype=np.int32)
        self._crowd = np.array([row[2] for row in segments], dtype=np.bool_)
        self._scores = np.array([row[3] for row in segments], dtype=np.float64)


def id_picture_places(annotations: Path) -> tuple[Path, ...]:
    """Where the panoptic PNGs of a JSON may be, the likeliest first.

    Next to it under the same name; in `panoptic` next to it; in its own folder; or under the same name one
    folder up.
    """
    beside = annotations.with_suffix("")
    parent = annotations.parent
    return beside, parent / "panoptic", parent, parent.absolute().parent / beside.name


def find_id_picture(folder: Folder, name: str) -> Source | None:
    """The panoptic PNG of that name in a JSON, or with the ending .png instead."""
    found = folder.find(name)
    if found is not None or not PurePosixPath(name).name:
        return found
    return folder.find(str(PurePosixPath(name).with_suffix(".png")))


def find_picture(folder: Folder, name: str) -> Source | None:
    """The image of that name in a JSON, or with another ending.

    The official files of Cityscapes say _gtFine_leftImg8bit, and leave out the folder of the city: their
    images are found too. None when there is no such file.
    """
    plain = _CITYSCAPES_ENDING.sub("_leftImg8bit.png", name)
    names = [name] if plain == name else [name, plain, f"{plain.partition('_')[0]}/{plain}"]
    for listed in names:
        path = PurePosixPath(listed)
        if not path.name:
            continue
        endings = [path.suffix, *_SUFFIXES] if path.suffix else _SUFFIXES
        for ending in endings:
            found = folder.find(str(path.with_suffix(ending)))
            if found is not None:
                return found
    return None


def _used(annotations: list[Any]) -> set[int]:
    """The ids of the categories that have a segment; what is malformed is for others to say."""
    return {
        row["category_id"]
        for annotation in annotations
        if isinstance(annotation, dict) and isinstance(annotation.get("segments_info"), list)
        for row in annotation["segments_info"]
        if isinstance(row, dict) and isinstance(row.get("category_id"), int)
    }


def _match(
    path: Path, rows: Any, wanted: Categories | None, used: set[int]
) -> tuple[Categories, dict[int, int]]:
    """The categories to use, and the contiguous index of each id in the file.

    A category that no segment has need not be among those wanted.
    """
    if not rows:
        if wanted is None:
            raise DataError(
                f'{path}: no "categories" in it; name the set that its ids are of, such as coco '
                '(--categories coco, or categories=Categories.builtin("coco"))'
            )
        return wanted, dict(wanted.dataset_index)
    if not isinstance(rows, list | Categories):
        raise DataError(f'{path}: "categories" is not a list; write [{{id, name, isthing}}, ...]')
    try:
        own = rows if isinstance(rows, Categories) else Categories.from_json(rows, name=path.name)
    except (CategoryError, TypeError) as error:
        raise DataError(f"{path}: {error}") from error
    if wanted is None:
        return own, dict(own.dataset_index)
    needed = [one for one in own if one.dataset_id in used]
    if not needed:
        return wanted, {}
    own = Categories(needed, own.name)
    places = match_categories(own, wanted, path)
    return wanted, {id: places[position] for id, position in own.dataset_index.items()}


def _fault(annotation: Any) -> str:
    """What keeps an annotation from being used, or nothing."""
    if not isinstance(annotation, dict):
        return "is not an object"
    missing = [key for key in ("image_id", "file_name", "segments_info") if key not in annotation]
    if missing:
        return f"lacks {' and '.join(missing)}"
    if not isinstance(annotation["image_id"], int | str):
        return f"has image_id {annotation['image_id']!r}, which is neither a number nor a string"
    if not isinstance(annotation["file_name"], str) or not isinstance(annotation["segments_info"], list):
        return "has a file_name that is not a string, or segments_info that is not a list"
    return ""


def _segments(
    rows: list[Any], index: dict[int, int], where: str, known: str, problems: list[str]
) -> list[tuple[int, int, bool, float]]:
    """(id, contiguous category, crowd, score) of each well-formed row; the others go to `problems`.

    Only predictions have scores; NaN: none.
    """
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
            try:
                score = row.get("score")
                known_score = float(score) if isinstance(score, int | float) else math.nan
                segments.append((id, index[category_id], is_crowd_flag(row.get("iscrowd")), known_score))
            except DataError as error:
                problems.append(f"{where}: segment {id}: {error}")
        if isinstance(id, int):
            seen.add(id)
    return segments

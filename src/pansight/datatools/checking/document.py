"""The JSON of a COCO panoptic set: read as far as it can be understood, and checked."""

import json
import math
import os
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pansight.datatools.checking import kinds
from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.numbers import whole
from pansight.formats.coco_files import is_instances_file


class ListedImage(NamedTuple):
    """An entry of `images`: its position, the image's file, and its size where that is given."""

    position: int
    file_name: str | None
    width: int | None
    height: int | None


class Labelled(NamedTuple):
    """An annotation whose parts are there: its position in the JSON, and the parts."""

    position: int
    image_id: int | str
    file_name: str
    segments: list[Any]


@dataclass
class Document:
    """A panoptic JSON. `content` is what the file holds; `images` is None when it has no such list."""

    path: Path
    content: dict[str, Any]
    images: dict[Hashable, ListedImage] | None
    annotations: list[Labelled]

    def picture_name(self, annotation: Labelled) -> str:
        """The image file of an annotation, as listed; where it is not listed, named like its panoptic PNG."""
        listed = (self.images or {}).get(annotation.image_id)
        return annotation.file_name if listed is None or listed.file_name is None else listed.file_name


def read_document(path: str | os.PathLike[str], notes: Notes) -> Document | None:
    """Read the JSON and check all but its categories and segments; None when it is unusable."""
    path = Path(path)
    strange: list[str] = []

    def note_strange(text: str) -> float:
        strange.append(text)
        return float(text)

    try:
        content = json.loads(path.read_bytes(), parse_constant=note_strange)
    except OSError as error:
        notes.add(kinds.JSON_BROKEN, f"cannot be read ({error.strerror or error})")
        return None
    except (ValueError, RecursionError) as error:
        notes.add(kinds.JSON_BROKEN, f"not a JSON file ({error})")
        return None
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        notes.add(kinds.JSON_BROKEN, 'no list "annotations" in it')
        return None
    if is_instances_file(content):
        notes.add(kinds.JSON_BROKEN, f"COCO instances: run `pansight data convert {path} OUT`")
        return None
    if strange:
        for place in _strange_numbers(content, ""):
            notes.add(kinds.NOT_FINITE, place, fixable=True)
    if not content["annotations"]:
        notes.add(kinds.JSON_BROKEN, "no annotations in it")
    images = _read_images(content.get("images"), notes)
    annotations = list(_read_annotations(content["annotations"], notes))
    _check_pairs(images, annotations, notes)
    return Document(path, content, images, annotations)


def finite(value: Any) -> Any:
    """A copy of a JSON value without NaN and infinities: left out of objects, null in lists."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items() if not _strange(one)}
    if isinstance(value, list):
        return [None if _strange(one) else finite(one) for one in value]
    return value


def _strange(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _strange_numbers(value: Any, place: str) -> Iterator[str]:
    if _strange(value):
        yield f"{place.removeprefix('.')} is {value}"
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _strange_numbers(one, f"{place}.{key}")
    elif isinstance(value, list):
        for position, one in enumerate(value):
            yield from _strange_numbers(one, f"{place}[{position}]")


def _read_images(rows: Any, notes: Notes) -> dict[Hashable, ListedImage] | None:
    if not isinstance(rows, list) or not rows:
        notes.add(kinds.LIST_MISSING, "no list of images: files are looked for by the panoptic PNGs' names")
        return None
    images: dict[Hashable, ListedImage] = {}
    files: dict[str, Hashable] = {}
    for position, row in enumerate(rows):
        image_id = row.get("id") if isinstance(row, dict) else None
        if not _is_id(image_id):
            notes.add(kinds.ANNOTATION_MALFORMED, f"images[{position}] has no id")
            continue
        if image_id in images:
            notes.add(kinds.IMAGE_REPEATED, f"image {image_id!r} is listed twice")
            continue
        name = row.get("file_name")
        if not isinstance(name, str) or not name:
            notes.add(kinds.ANNOTATION_MALFORMED, f"image {image_id!r} has no file_name")
            name = None
        elif name in files:
            notes.add(kinds.FILE_REPEATED, f"{name} is the file of images {files[name]!r} and {image_id!r}")
        else:
            files[name] = image_id
        size = []
        for key in ("width", "height"):
            number = whole(row[key]) if row.get(key) is not None else None
            if number is not None and number.fault:
                known = number.value is not None
                notes.add(kinds.NUMBER_TYPE, f"{key} of image {image_id!r} {number.fault}", fixable=known)
            size.append(number.value if number is not None else None)
        images[image_id] = ListedImage(position, name, size[0], size[1])
    return images


def _read_annotations(rows: list[Any], notes: Notes) -> Iterator[Labelled]:
    seen: dict[Hashable, str] = {}
    files: dict[str, Hashable] = {}
    for position, row in enumerate(rows):
        where = f"annotations[{position}]"
        if not isinstance(row, dict):
            notes.add(kinds.ANNOTATION_MALFORMED, f"{where} is not an object")
            continue
        missing = [
            key
            for key, right in (
                ("image_id", _is_id(row.get("image_id"))),
                ("file_name", isinstance(row.get("file_name"), str) and bool(row.get("file_name"))),
                ("segments_info", isinstance(row.get("segments_info"), list)),
            )
            if not right
        ]
        if missing:
            notes.add(kinds.ANNOTATION_MALFORMED, f"{where} has no usable {' and '.join(missing)}")
            continue
        image_id, name = row["image_id"], row["file_name"]
        if image_id in seen:
            notes.add(
                kinds.IMAGE_REPEATED, f"image {image_id!r} is annotated twice ({seen[image_id]}, {name})"
            )
        elif name in files:
            notes.add(kinds.FILE_REPEATED, f"{name} is the panoptic PNG of {files[name]!r} and {image_id!r}")
        seen.setdefault(image_id, name)
        files.setdefault(name, image_id)
        yield Labelled(position, image_id, name, row["segments_info"])


def _check_pairs(
    images: dict[Hashable, ListedImage] | None, annotations: list[Labelled], notes: Notes
) -> None:
    if images is None:
        return
    labelled = {annotation.image_id for annotation in annotations}
    for annotation in annotations:
        if annotation.image_id not in images:
            id = annotation.image_id
            other = str(id) if isinstance(id, int) else int(id) if id.isascii() and id.isdecimal() else None
            hint = f", but {other!r} is" if other in images else ""
            notes.add(kinds.IMAGE_UNLISTED, f"image {annotation.image_id!r} is not listed{hint}")
    for image_id, image in images.items():
        if image_id not in labelled:
            notes.add(kinds.IMAGE_UNANNOTATED, f"image {image_id!r} ({image.file_name})")


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)

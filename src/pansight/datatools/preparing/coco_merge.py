"""COCO instances (things that overlap) and stuff (run lengths or maps of labels) to one panoptic truth.

The order is that of the panoptic combine rule (Kirillov et al., Panoptic Segmentation, CVPR 2019, section
4.4): things hide stuff, and among things the one with the higher score hides the other. Truth has no scores;
there the smaller one hides the larger, because what lies in front of a large object and is smaller would
otherwise vanish, and crowds lie below all objects. Nothing is dropped but what is wholly hidden.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pansight.categories import Categories
from pansight.data.coco_masks import decode_segmentation
from pansight.datatools.preparing.label_maps import LabelMaps
from pansight.datatools.preparing.layers import Layer, is_picture_size, paint_layers
from pansight.errors import CategoryError, DataError, DataProblemsError
from pansight.formats.coco_files import read_json
from pansight.panoptic import PanopticMap

PathLike = str | os.PathLike[str]

_PIXELMAP_THINGS = "other"
"""COCO's stuff files have this category where a thing stands; what no thing covers of it is void."""


class CocoMerge:
    """COCO instances with or without stuff as a source of panoptic truth; see `TruthSource`.

    The JSON is read whole at once, and kept as text, so that many processes can share the memory.
    """

    def __init__(
        self,
        instances: PathLike,
        stuff: PathLike | None = None,
        categories: Categories | None = None,
        *,
        stuff_offset: int = 0,
    ) -> None:
        """Open the JSON of instances; `stuff`: a JSON of stuff annotations, or a folder of label maps.

        `categories`: the set to speak in; classes are found in it by name. By default the things are the
        categories of `instances`, the stuff those of the stuff JSON; with a folder of maps it must be given.
        A map is called like its picture with the ending .png, and its values are category ids less
        `stuff_offset` (COCO's stuff_*_pixelmaps: 0; its stuffthingmaps: 1); 0 (without offset), 255 and the
        ids of things are void.

        Raises DataError when a file cannot be read, DataProblemsError with everything that does not fit.
        """
        problems: list[str] = []
        self._maps: LabelMaps | None = None
        files = [_CocoFile.read(Path(instances), problems, things=True)]
        if stuff is not None and Path(stuff).is_dir():
            if categories is None:
                raise DataError(
                    f"{stuff}: label maps do not say what their values mean; "
                    "give the categories, a JSON of them or a built-in set such as coco"
                )
            self._maps = LabelMaps(Path(stuff), categories, frozenset(files[0].classes), stuff_offset)
        elif stuff is not None:
            files.append(_CocoFile.read(Path(stuff), problems, things=False))
        self.categories = categories or _joined(files)
        self._files = [(file, file.matched(self.categories, problems)) for file in files]
        pictures: dict[int | str, tuple[str, int, int]] = {}
        for file in files:
            pictures.update({id: row for id, row in file.pictures.items() if id not in pictures})
        if not pictures:
            problems.append(f"{instances}: no images in it")
        if problems:
            raise DataProblemsError(f"{instances}: cannot be converted; correct this:", problems)
        self.image_ids: list[int | str] = list(pictures)
        self.names: list[str] = [picture[0] for picture in pictures.values()]
        self._sizes = [picture[1:] for picture in pictures.values()]

    @property
    def reads(self) -> tuple[Path, ...]:
        """The JSON files and the folder of maps: nothing may be written there."""
        maps = () if self._maps is None else (self._maps.folder,)
        return *(file.path for file, _ in self._files), *maps

    def __len__(self) -> int:
        return len(self.names)

    def truth(self, index: int) -> PanopticMap:
        """Paint sample `index`. Raises DataError when a mask or map of it is broken."""
        height, width = self._sizes[index]
        ground = None
        if self._maps is not None:
            ground = self._maps.read(self.names[index], height, width)
        for file, classes in reversed(self._files):
            layers = file.layers(self.image_ids[index], classes, height, width)
            ground = paint_layers(layers, self.categories, height, width, ground)
        assert ground is not None
        return ground


@dataclass(frozen=True)
class _CocoFile:
    """A COCO JSON of things or stuff: its classes by id, (name, height, width) of pictures, annotations."""

    path: Path
    things: bool
    classes: dict[int, dict[str, Any]]
    pictures: dict[int | str, tuple[str, int, int]]
    annotations: dict[int | str, bytes]

    @classmethod
    def read(cls, path: Path, problems: list[str], *, things: bool) -> "_CocoFile":
        content = read_json(path)
        classes = _class_rows(path, content.get("categories"))
        pictures = _pictures(path, content.get("images"), problems)
        return cls(path, things, classes, pictures, _by_picture(path, content, problems))

    def matched(self, categories: Categories, problems: list[str]) -> dict[int, int | None]:
        """The contiguous index in `categories` by the file's id; None is void."""
        index: dict[int, int | None] = {}
        for id, row in self.classes.items():
            name = row["name"]
            if not self.things and name == _PIXELMAP_THINGS:
                index[id] = None
                continue
            try:
                found = categories.index(name)
            except CategoryError as error:
                problems.append(f"{self.path}: {error}")
                continue
            index[id] = found
            if categories[found].is_thing != self.things:
                kinds = ("a thing", "stuff") if self.things else ("stuff", "a thing")
                problems.append(f"{self.path}: {name!r} is {kinds[0]} here, {kinds[1]} in {categories.name}")
        return index

    def layers(
        self, image_id: int | str, classes: dict[int, int | None], height: int, width: int
    ) -> list[Layer]:
        """The regions of a picture in the order of painting."""
        layers = []
        for position, row in enumerate(json.loads(self.annotations.get(image_id, b"[]"))):
            where = f"{self.path}: image {image_id!r}, annotation {row.get('id', position)}"
            category_id = row.get("category_id")
            if not isinstance(category_id, int) or category_id not in classes:
                raise DataError(f"{where} has category_id {category_id!r}, which the file does not list")
            category = classes[category_id]
            try:
                mask = decode_segmentation(row.get("segmentation"), height, width)
            except DataError as error:
                raise DataError(f"{where} has a segmentation {error}; correct it") from error
            key: object = ("thing", position) if self.things else ("stuff", category)
            score = row.get("score") if self.things else None
            crowd = self.things and bool(row.get("iscrowd", 0))
            score = float(score) if isinstance(score, int | float) and score == score else None
            layers.append(Layer(mask, category, key, crowd, score))
        return sorted(layers, key=_depth)


def _depth(layer: Layer) -> tuple[bool, float, int]:
    """Rises from what lies at the bottom to what is seen; what is alike stays in the order of the file."""
    return not layer.is_crowd, layer.score or 0.0, -int(np.count_nonzero(layer.mask))


def _class_rows(path: Path, rows: Any) -> dict[int, dict[str, Any]]:
    if not isinstance(rows, list) or not rows:
        raise DataError(f'{path}: no "categories" in it; give a COCO JSON with them')
    try:
        return {int(row["id"]): {**row, "name": str(row["name"])} for row in rows}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: a category lacks id or name ({error!r}); correct it") from error


def _joined(files: list[_CocoFile]) -> Categories:
    """Things and then stuff, with their own ids; where the id of a thing is taken, stuff is numbered on."""
    things = files[0].classes
    stuff = {
        id: row for file in files[1:] for id, row in file.classes.items() if row["name"] != _PIXELMAP_THINGS
    }
    clashing = sorted({row["name"] for row in things.values()} & {row["name"] for row in stuff.values()})
    if clashing:
        raise CategoryError(
            f"{files[1].path}: {', '.join(map(repr, clashing[:5]))} is a thing in {files[0].path} and stuff "
            "here; rename one"
        )
    fresh = max([*things, *stuff], default=0) + 1
    rows = [{**row, "isthing": 1} for row in things.values()]
    for id, row in stuff.items():
        rows.append({**row, "isthing": 0, "id": fresh if id in things else id})
        fresh += id in things
    return Categories.from_json(rows, name=files[0].path.stem)


def _pictures(path: Path, rows: Any, problems: list[str]) -> dict[int | str, tuple[str, int, int]]:
    found: dict[int | str, tuple[str, int, int]] = {}
    for position, row in enumerate(rows if isinstance(rows, list) else []):
        try:
            height, width = int(row["height"]), int(row["width"])
            if not is_picture_size(height, width):
                problems.append(f"{path}: image {position} is {width} x {height} pixels, which none can be")
            found[row["id"]] = (str(row["file_name"]), height, width)
        except (KeyError, TypeError, ValueError, OverflowError):
            problems.append(f"{path}: image {position} needs id, file_name, height and width")
    return found


def _by_picture(path: Path, content: dict[str, Any], problems: list[str]) -> dict[int | str, bytes]:
    """The annotations of each picture, as JSON text."""
    listed = content.get("images")
    ids = [row.get("id") for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    known = {id for id in ids if isinstance(id, int | str)}
    grouped: dict[int | str, list[dict[str, Any]]] = {}
    for position, row in enumerate(content["annotations"]):
        image_id = row.get("image_id") if isinstance(row, dict) else None
        if not isinstance(image_id, int | str) or image_id not in known:
            problems.append(f"{path}: annotation {position} has image_id {image_id!r}, which is not listed")
            continue
        grouped.setdefault(image_id, []).append(row)
    return {image_id: json.dumps(rows).encode() for image_id, rows in grouped.items()}

"""COCO instances (things that overlap) and stuff (run lengths or maps of labels) to one panoptic truth.

The order is that of the panoptic combine rule (Kirillov et al., Panoptic Segmentation, CVPR 2019, section
4.4): things hide stuff, and among things the one with the higher score hides the other. Truth has no scores;
there the smaller one hides the larger, because what lies in front of a large object and is smaller would
otherwise vanish, and crowds lie below all objects. Only what is wholly hidden is dropped.
"""

import difflib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pansight.categories import Categories
from pansight.categories.table import read_flag
from pansight.datatools.preparing.coco_losses import (
    CVAT_MASKS,
    find_hidden,
    find_losses,
    is_normalised,
    marks_masks,
)
from pansight.datatools.preparing.label_maps import LabelMaps
from pansight.datatools.preparing.layers import Layer, paint_layers, stuff_key
from pansight.datatools.preparing.lost_objects import Taken
from pansight.errors import CategoryError, DataError, DataProblemsError
from pansight.formats.annotation.losses import Lost
from pansight.formats.annotation.objects import is_picture_size
from pansight.formats.coco_files import is_crowd_flag, read_json
from pansight.formats.coco_masks import decode_segmentation
from pansight.panoptic import PanopticMap

PathLike = str | os.PathLike[str]

_PIXELMAP_THINGS = "other"
"""COCO's stuff files have this category where a thing stands; what no thing covers of it is void."""


class CocoMerge:
    """COCO instances with or without stuff as a source of panoptic truth; see `TruthSource`.

    The JSON is read completely at once, and kept as text, so that many processes can share the memory.
    """

    def __init__(
        self,
        instances: PathLike,
        stuff: PathLike | None = None,
        categories: Categories | None = None,
        *,
        stuff_offset: int = 0,
        stuff_values: Mapping[int, int] | None = None,
        things: Collection[str] | None = None,
        stuff_names: Collection[str] | None = None,
        boxes: bool = False,
        crowds: bool = True,
    ) -> None:
        """Open the JSON of instances; `stuff`: a JSON of stuff annotations, or a folder of label maps.

        `categories`: the target set, which says what is a thing; classes are found in it by name. By
        default the categories of `instances` are things but for those with isthing 0, those of the stuff JSON
        stuff; with a folder of maps it must be given. `things`, `stuff_names`: which classes of `instances`
        are what; one may be left out, it is the rest. A category without annotations that others name as
        their supercategory (Roboflow's root) is left out.
        `boxes`: fill the box of an object without a mask. `crowds`: False takes all objects for single ones.
        `stuff_values`: the contiguous category of each value of the maps, where they are not data-set ids.
        A map is called like its image with the ending .png, and its values are category ids less
        `stuff_offset` (COCO's stuff_*_pixelmaps: 0; its stuffthingmaps: 1); 0 (without offset), 255 and the
        ids of things are void.

        Raises DataError when a file cannot be read, DataProblemsError with everything that does not fit.
        """
        problems: list[str] = []
        self._maps: LabelMaps | None = None
        flags = _Flags(things, stuff_names)
        files = [_CocoFile.read(Path(instances), problems, flags, things=True)]
        files[0] = replace(files[0], boxes=boxes, crowds=crowds)
        if stuff is not None and Path(stuff).is_dir():
            if categories is None:
                raise DataError(
                    f"{stuff}: label maps do not say what their values mean; "
                    "give the categories, a JSON of them or a built-in set such as coco"
                )
            own = frozenset(id for id, row in files[0].classes.items() if row["isthing"])
            self._maps = LabelMaps(Path(stuff), categories, own, stuff_offset, stuff_values)
        elif stuff is not None:
            files.append(_CocoFile.read(Path(stuff), problems, _Flags(), things=False))
        self.categories = categories or _joined(files)
        self._files = [(file, file.matched(self.categories, problems)) for file in files]
        pictures: dict[int | str, tuple[str, int, int]] = {}
        for file in files:
            pictures.update({id: row for id, row in file.pictures.items() if id not in pictures})
        if not pictures and not problems:
            problems.append(f"{instances}: no images in it")
        if problems:
            raise DataProblemsError(f"{instances}: cannot be converted; fix the following:", problems)
        self.remarks = (CVAT_MASKS,) if crowds and files[0].marks_masks else ()
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
        """Draw sample `index`. Raises DataError when a mask or map of it is broken."""
        return self.take(index).truth

    def take(self, index: int) -> Taken:
        """Draw sample `index`, and say what of its objects was lost. Raises as `truth`."""
        height, width = self._sizes[index]
        ground = None
        if self._maps is not None:
            ground = self._maps.read(self.names[index], height, width)
        objects = crowds = 0
        lost: list[Lost] = []
        for file, classes in reversed(self._files):
            layers = file.layers(self.image_ids[index], classes, self.categories, height, width, lost)
            objects += len(layers)
            crowds += sum(layer.is_crowd for layer, _ in layers)
            ground = paint_layers((layer for layer, _ in layers), self.categories, height, width, ground)
            lost += find_hidden(layers, ground)
        assert ground is not None
        return Taken(ground, objects, crowds, tuple(lost))


class _Flags(NamedTuple):
    """Which classes a user says are things, which stuff; None where nothing is said."""

    things: Collection[str] | None = None
    stuff: Collection[str] | None = None

    def is_thing(self, row: Mapping[str, Any]) -> bool:
        """Whether a class is a thing: as the user says, else as its file says."""
        if self.things is not None:
            return row["name"] in self.things
        return row["name"] not in self.stuff if self.stuff is not None else bool(row["isthing"])

    def check(self, path: Path, names: Collection[str], problems: list[str]) -> None:
        """Names that the file does not have, or that are named twice or not at all."""
        things, stuff = set(self.things or ()), set(self.stuff or ())
        for name in sorted((things | stuff) - set(names)):
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
            problems.append(f"{path}: no category {name!r} in it; did you mean {near[0] if near else ''!r}?")
        for name in sorted(things & stuff):
            problems.append(f"{path}: {name!r} is named among the things and among the stuff; choose one")
        if self.things is not None and self.stuff is not None:
            for name in [one for one in names if one not in things | stuff]:
                problems.append(f"{path}: {name!r} is named neither by --things nor by --stuff; name it")


@dataclass(frozen=True)
class _CocoFile:
    """A COCO JSON of things or stuff: its classes by id, (name, height, width) of images, annotations.

    Every class has `isthing`, as the file or the user says.
    """

    path: Path
    things: bool
    classes: dict[int, dict[str, Any]]
    pictures: dict[int | str, tuple[str, int, int]]
    annotations: dict[int | str, bytes]
    boxes: bool = False
    crowds: bool = True
    marks_masks: bool = False

    @classmethod
    def read(cls, path: Path, problems: list[str], flags: _Flags, *, things: bool) -> "_CocoFile":
        content = read_json(path)
        if any(isinstance(row, dict) and "segments_info" in row for row in content["annotations"][:1]):
            raise DataError(f"{path}: is COCO panoptic already; give COCO instances")
        classes = _class_rows(path, content, things=things)
        flags.check(path, [row["name"] for row in classes.values()], problems)
        for row in classes.values():
            row["isthing"] = int(flags.is_thing(row))
        pictures = _pictures(path, content.get("images"), problems)
        if pictures and is_normalised(content["annotations"]):
            problems.append(
                f"{path}: all polygons lie within 0..1: they are fractions of the image, not pixels; "
                "multiply x by the width and y by the height"
            )
        grouped = _by_picture(path, content, problems)
        return cls(path, things, classes, pictures, grouped, marks_masks=marks_masks(content["annotations"]))

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
            if not self.things and categories[found].is_thing:
                problems.append(f"{self.path}: {name!r} is stuff here, a thing in {categories.name}")
        return index

    def layers(
        self,
        image_id: int | str,
        classes: dict[int, int | None],
        categories: Categories,
        height: int,
        width: int,
        lost: list[Lost],
    ) -> list[tuple[Layer, str]]:
        """The regions of an image in drawing order, and their names in messages."""
        layers = []
        for position, row in enumerate(json.loads(self.annotations.get(image_id, b"[]"))):
            named = f"image {image_id!r}, annotation {row.get('id', position)}"
            where = f"{self.path}: {named}"
            category_id = row.get("category_id")
            if not isinstance(category_id, int) or category_id not in classes:
                raise DataError(f"{where} has category_id {category_id!r}, which the file does not list")
            category = classes[category_id]
            is_thing = category is not None and bool(categories[category].is_thing)
            called = f"{named} ({self.classes[category_id]['name']})"
            segmentation = self._segmentation(row)
            try:
                mask = decode_segmentation(segmentation, height, width)
            except DataError as error:
                raise DataError(f"{where} has a segmentation {error}; correct it") from error
            try:
                crowd = self.crowds and is_thing and is_crowd_flag(row.get("iscrowd"))
            except DataError as error:
                raise DataError(f"{where}: {error}") from error
            lost += find_losses(row, segmentation, mask, called)
            key: object = ("thing", position) if is_thing or category is None else stuff_key(category)
            score = row.get("score") if is_thing else None
            score = float(score) if isinstance(score, int | float) and score == score else None
            layers.append((Layer(mask, category, key, crowd, score), called))
        return sorted(layers, key=lambda pair: _depth(pair[0], categories))

    def _segmentation(self, row: dict[str, Any]) -> Any:
        """The mask as the file says it; the box as a polygon where there is none and boxes are wanted."""
        segmentation = row.get("segmentation")
        if segmentation is None or segmentation == {}:
            segmentation = []
        if not self.boxes or segmentation != []:
            return segmentation
        try:
            left, top, width, height = (float(side) for side in row["bbox"])
        except (KeyError, TypeError, ValueError):  # no box either: an object without a mask
            return segmentation
        right, bottom = left + width, top + height
        return [[left, top, right, top, right, bottom, left, bottom]]


def _depth(layer: Layer, categories: Categories) -> tuple[bool, bool, float, int]:
    """Rises from what lies at the bottom to what is seen; what is alike stays in the order of the file."""
    is_thing = layer.category is not None and bool(categories[layer.category].is_thing)
    return is_thing, not layer.is_crowd, layer.score or 0.0, -int(np.count_nonzero(layer.mask))


def _class_rows(path: Path, content: dict[str, Any], *, things: bool) -> dict[int, dict[str, Any]]:
    """The categories by id, with `isthing`; a root that owns nothing and others belong to is none."""
    rows = content.get("categories")
    if not isinstance(rows, list) or not rows:
        raise DataError(f'{path}: no "categories" in it; give a COCO JSON with them')
    used = {str(row.get("category_id")) for row in content["annotations"] if isinstance(row, dict)}
    parents = {str(row.get("supercategory")) for row in rows if isinstance(row, dict)}
    found = {}
    try:
        for row in rows:
            id, name = int(row["id"]), str(row["name"])
            root = row.get("supercategory") in (None, "", "none")
            if str(id) not in used and root and name in parents:
                continue
            thing = things if row.get("isthing") is None else things and read_flag(row["isthing"])
            found[id] = {**row, "name": name, "isthing": int(thing)}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: a category lacks id or name ({error!r}); correct it") from error
    return found


def _joined(files: list[_CocoFile]) -> Categories:
    """Things and then stuff, with their own ids; where the id of a thing is taken, stuff is numbered on."""
    things = {id: row for id, row in files[0].classes.items() if row["isthing"]}
    stuff = {id: row for id, row in files[0].classes.items() if not row["isthing"]}
    named = {row["name"] for row in stuff.values()}
    more = {
        id: row
        for file in files[1:]
        for id, row in file.classes.items()
        if row["name"] not in {_PIXELMAP_THINGS, *named}
    }
    clashing = sorted({row["name"] for row in things.values()} & {row["name"] for row in more.values()})
    if clashing:
        raise CategoryError(
            f"{files[1].path}: {', '.join(map(repr, clashing[:5]))} is a thing in {files[0].path} and stuff "
            "here; rename one"
        )
    taken = {*things, *stuff}
    fresh = max([*taken, *more], default=0) + 1
    rows = [*things.values(), *stuff.values()]
    for id, row in more.items():
        rows.append({**row, "isthing": 0, "id": fresh if id in taken else id})
        fresh += id in taken
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
    """The annotations of each image, as JSON text."""
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

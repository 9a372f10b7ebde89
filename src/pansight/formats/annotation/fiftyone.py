"""FiftyOne's data set on disk (FiftyOneDataset): things as Detections with masks, stuff as a Segmentation.

Source: https://docs.voxel51.com/user_guide/using_datasets.html and fiftyone 1.22. samples.json is MongoDB's
extended JSON; a mask is base64(zlib(np.save)). FiftyOne itself is not needed, and opens what is written by
`fo.Dataset.from_dir(folder, dataset_type=fo.types.FiftyOneDataset)`. `sample_fields` gives the same as plain
dicts for code that imports FiftyOne itself.
"""

import base64
import binascii
import hashlib
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Shaped
from PIL import Image

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.files import require_extra
from pansight.formats.annotation.door import (
    AnnotationReader,
    AnnotationWriter,
    ClassRow,
    Picture,
    Pictures,
    Written,
    load_json,
    peek_json,
    write_text,
)
from pansight.formats.annotation.id_maps import objects_in
from pansight.formats.annotation.losses import NO_AREA, Lost
from pansight.formats.annotation.objects import (
    AnnotatedImage,
    AnnotatedObject,
    clipped,
    id_in,
    objects_of,
    painted,
)
from pansight.formats.coco_files import is_crowd_flag
from pansight.panoptic import PanopticMap

_THINGS, _STUFF = "ground_truth", "semantic"
_IDS = "segment_ids"
_INSET = 1e-6
"""Pixels: FiftyOne lays a mask at int(width * x), and a quotient may lie a hair below the whole number."""


def is_fiftyone(path: Path) -> bool:
    """Whether samples.json and metadata.json are there."""
    file = path / "samples.json" if path.is_dir() else path
    content = peek_json(file) if file.name == "samples.json" else None
    return isinstance(content, dict) and isinstance(content.get("samples"), list)


class FiftyOneReader(AnnotationReader):
    """The samples of a data set: the first field with Detections, and the first with a Segmentation.

    A class of the segmentation that occurs among the detections is taken from them alone.
    """

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """Raises DataError when samples.json cannot be read."""
        self.where = path / "samples.json" if path.is_dir() else path
        samples = load_json(self.where)["samples"]
        meta = peek_json(self.where.with_name("metadata.json")) or {}
        self._folder = self.where.parent
        self._pictures = Pictures(*([images] if images else []), self._folder / "data", self._folder)
        self.names = [
            str(row.get("filepath", "")).replace("\\", "/").removeprefix("data/") for row in samples
        ]
        if any(name.startswith("/") or ":" in name[:3] for name in self.names):
            self.names = [Path(name).name for name in self.names]
        self.image_ids = list(range(1, len(samples) + 1))
        self._samples = [json.dumps(row) for row in samples]
        self._things = _first_field(samples, "Detections")
        self._stuff = _first_field(samples, "Segmentation")
        targets = (meta.get("mask_targets") or {}).get(self._stuff) or meta.get("default_mask_targets") or {}
        self._targets = {int(value): str(name) for value, name in targets.items()}
        things = dict.fromkeys(
            str(one.get("label"))
            for row in samples
            for one in ((row.get(self._things or "") or {}).get("detections") or ())
        )
        self._countable = set(things)
        rest = [name for name in self._targets.values() if name not in things]
        self.classes = [*(ClassRow(name, True) for name in things), *(ClassRow(name, False) for name in rest)]

    def read(self, index: int) -> AnnotatedImage:
        sample, name = json.loads(self._samples[index]), self.names[index]
        where = f"{self.where}: {name}"
        stuff = sample.get(self._stuff or "") or {}
        values = self._semantic(stuff, where)
        meta = sample.get("metadata") or {}
        if values is not None:
            height, width = values.shape
        elif meta.get("height") and meta.get("width"):
            height, width = int(meta["height"]), int(meta["width"])
        else:
            height, width = self._pictures.size(name, "its sample has no metadata (compute_metadata())")
        objects: list[AnnotatedObject] = []
        lost: list[Lost] = []
        if values is not None:
            targets = {v: label for v, label in self._targets.items() if v and label not in self._countable}
            objects += _stuff_objects(values.astype(np.int32), targets, stuff.get(_IDS), name)
        for position, row in enumerate((sample.get(self._things or "") or {}).get("detections") or ()):
            label = str(row.get("label"))
            called = f"{name}, detection {position} ({label})"
            try:
                crop = self._detection(row, height, width)
            except (DataError, KeyError, TypeError, ValueError) as error:
                reason = str(error) if isinstance(error, DataError) else f"lacks or garbles {error}"
                raise DataError(f"{where}, detection {position} ({label}) {reason}; correct it") from error
            if crop is None:
                lost.append(Lost(NO_AREA, called))
                continue
            score = row.get("confidence")
            objects.append(
                AnnotatedObject(
                    label,
                    *clipped(*crop, height, width),
                    is_crowd=is_crowd_flag(row.get("iscrowd")),
                    score=float(score) if isinstance(score, int | float) else None,
                    order=1.0,
                    id=id_in(row.get("index")),
                    name=called,
                )
            )
        return AnnotatedImage(name, height, width, tuple(objects), tuple(lost))

    def _semantic(self, field: Mapping[str, Any], where: str) -> Shaped[np.ndarray, "h w"] | None:
        if field.get("mask") is not None:
            return _array(field["mask"], where)
        if field.get("mask_path"):
            return self._mask_file(str(field["mask_path"]), where)
        return None

    def _mask_file(self, name: str, where: str) -> Shaped[np.ndarray, "h w"]:
        path = self._folder / name
        if not path.is_file():
            raise DataError(f"{where}: its mask {name} is missing; export the data set with its media")
        with Image.open(path) as image:
            return np.asarray(image)

    def _detection(
        self, row: Mapping[str, Any], height: int, width: int
    ) -> tuple[Bool[np.ndarray, "h w"], int, int] | None:
        """Mask, left, top; None for a box without a mask."""
        x, y, wide, high = (float(side) for side in row["bounding_box"])
        left, top = round(x * width), round(y * height)
        if row.get("mask") is not None:
            mask = _array(row["mask"], "mask")
        elif row.get("mask_path"):
            mask = self._mask_file(str(row["mask_path"]), "mask")
        else:
            return None
        if mask.ndim != 2:
            raise DataError(f"has a mask of shape {list(mask.shape)}, not rows x columns")
        said = (max(round(high * height), 1), max(round(wide * width), 1))
        if abs(mask.shape[0] - said[0]) > 1 or abs(mask.shape[1] - said[1]) > 1:
            image = Image.fromarray((mask > 0).astype(np.uint8))
            mask = np.asarray(image.resize(said[::-1], Image.Resampling.NEAREST))
        return mask > 0, left, top


class FiftyOneWriter(AnnotationWriter):
    """metadata.json and samples.json; the images belong in data/.

    Field `ground_truth`: things, with `iscrowd`, confidence, and the segment's id as index. Field `semantic`:
    stuff, value 1 + the index of its class, and the ids of the segments by class.
    """

    @property
    def targets(self) -> tuple[Path, ...]:
        return (*super().targets, self.folder / "samples.json", self.folder / "metadata.json")

    def image_path(self, picture: Picture) -> Path:
        return self.folder / "data" / picture.name

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        fields = sample_fields(panoptic)
        things = []
        for position, one in enumerate(fields["detections"]):
            seed = f"{picture.name} {position}".encode()
            mask = {"$binary": {"base64": _binary(one["mask"]), "subType": "00"}}
            row = {"_id": {"$oid": hashlib.sha256(seed).hexdigest()[:24]}, "_cls": "Detection"}
            things.append({**row, "attributes": {}, "tags": [], **one, "mask": mask})
        stuff_mask = {"$binary": {"base64": _binary(fields["segmentation"]), "subType": "00"}}
        oid = hashlib.sha256(f"{picture.name} {_STUFF}".encode()).hexdigest()[:24]
        sample = {
            "filepath": f"data/{picture.name}",
            "tags": [],
            "metadata": {"_cls": "ImageMetadata", "width": panoptic.width, "height": panoptic.height},
            "_media_type": "image",
            _THINGS: {"_cls": "Detections", "detections": things},
            _STUFF: {
                "_id": {"$oid": oid},
                "_cls": "Segmentation",
                "tags": [],
                "mask": stuff_mask,
                _IDS: fields[_IDS],
            },
        }
        return Written(json.dumps(sample))

    def _save(self, rows: Sequence[Any]) -> Path:
        names = {str(number): item.name for number, item in enumerate(self.categories, 1)}
        meta = {
            "name": "pansight",
            "media_type": "image",
            "mask_targets": {_STUFF: names},
            "default_mask_targets": {},
            "classes": {},
            "default_classes": list(self.categories.names),
            "info": {},
            "tags": [],
        }
        write_text(self.folder / "metadata.json", json.dumps(meta, indent=1))
        write_text(self.folder / "samples.json", '{"samples": [\n' + ",\n".join(rows) + "\n]}\n")
        return self.folder


def sample_fields(panoptic: PanopticMap) -> dict[str, Any]:
    """A map in FiftyOne's terms: "detections" (keyword arguments of `fo.Detection`), "segmentation", and
    "segment_ids", the ids of stuff by class.

        fields = sample_fields(panoptic)
        sample["gt"] = fo.Detections(detections=[fo.Detection(**one) for one in fields["detections"]])
        sample["stuff"] = fo.Segmentation(mask=fields["segmentation"])

    Boxes are relative; a mask is the inside of its box; the segmentation is 1 + the index of a stuff class.
    """
    detections = []
    for one in objects_of(panoptic):
        if not panoptic.categories[panoptic.categories.index(one.label)].is_thing:
            continue
        x, y, width, height = one.box
        box = [
            (x + _INSET) / panoptic.width,
            (y + _INSET) / panoptic.height,
            width / panoptic.width,
            height / panoptic.height,
        ]
        row: dict[str, Any] = {"label": one.label, "bounding_box": box, "mask": one.mask, "index": one.id}
        if one.score is not None:
            row["confidence"] = one.score
        if one.is_crowd:
            row["iscrowd"] = 1
        detections.append(row)
    values = [0 if panoptic.categories[s.category].is_thing else s.category + 1 for s in panoptic.segments]
    kind = np.uint8 if len(panoptic.categories) < 256 else np.uint16
    ids = {panoptic.categories[s.category].name: s.id for s in panoptic.stuff()}
    return {"detections": detections, "segmentation": panoptic.paint(values).astype(kind), _IDS: ids}


def to_sample(panoptic: PanopticMap, filepath: str, things: str = _THINGS, stuff: str = _STUFF) -> Any:
    """A `fiftyone.Sample` of an image with its map: Detections in `things`, a Segmentation in `stuff`.

        dataset.add_samples([to_sample(panoptic, "street.jpg")])
        dataset.mask_targets = {"semantic": mask_targets(panoptic.categories)}

    Raises MissingExtraError where FiftyOne is not installed (`pip install fiftyone`).
    """
    fo = require_extra("fiftyone", "fiftyone")
    fields = sample_fields(panoptic)
    sample = fo.Sample(filepath=filepath)
    sample[things] = fo.Detections(detections=[fo.Detection(**one) for one in fields["detections"]])
    sample[stuff] = fo.Segmentation(mask=fields["segmentation"], **{_IDS: fields[_IDS]})
    return sample


def mask_targets(categories: Categories) -> dict[int, str]:
    """What the values of the segmentation mean: 1 + the index of each stuff class."""
    return {number: item.name for number, item in enumerate(categories, 1) if not item.is_thing}


def from_sample(
    sample: Mapping[str, Any] | Any,
    categories: Categories,
    height: int,
    width: int,
    things: str = _THINGS,
    stuff: str = _STUFF,
    targets: Mapping[int, str] | None = None,
) -> PanopticMap:
    """The map of a `fiftyone.Sample`, things over stuff, later detections over earlier ones.

    `targets`: the class of each value of the segmentation, as in `dataset.mask_targets[stuff]`; by default
    those of `mask_targets`. Raises DataError for masks that do not fit, or labels that `categories` lacks.
    """
    objects: list[AnnotatedObject] = []
    semantic = _field(sample, stuff)
    if semantic is not None and semantic.mask is not None:
        values = np.asarray(semantic.mask).astype(np.int32)
        if values.shape != (height, width):
            raise DataError(f"{stuff}: its mask is {values.shape[::-1]}, the image is {width} x {height}")
        names = mask_targets(categories) if targets is None else targets
        objects += _stuff_objects(values, names, getattr(semantic, _IDS, None), stuff)
    found = _field(sample, things)
    for position, one in enumerate(found.detections if found is not None else ()):
        called = f"{things}, detection {position} ({one.label})"
        if one.mask is None:
            raise DataError(f"{called} has no mask; boxes are not panoptic labels")
        mask = np.asarray(one.mask) > 0
        left, top = round(one.bounding_box[0] * width), round(one.bounding_box[1] * height)
        crowd = is_crowd_flag(getattr(one, "iscrowd", None))
        objects.append(
            AnnotatedObject(
                one.label,
                *clipped(mask, left, top, height, width),
                is_crowd=crowd,
                score=one.confidence,
                order=1.0,
                id=id_in(one.index),
                name=called,
            )
        )
    return painted(AnnotatedImage("sample", height, width, tuple(objects)), categories).panoptic


def _stuff_objects(
    values: Int32[np.ndarray, "h w"], targets: Mapping[int, str], ids: Any, name: str
) -> list[AnnotatedObject]:
    """The classes that occur in a segmentation; `ids`: their segments' ids by class, where there are some."""
    present = set(np.unique(values).tolist())
    rows = [(value, label) for value, label in targets.items() if value in present]
    known = ids if isinstance(ids, Mapping) else {}
    return [replace(one, id=id_in(known.get(one.label))) for one in objects_in(values, rows, name).objects]


def _field(sample: Any, name: str) -> Any:
    """A field of a sample, None where it has no such one."""
    try:
        return sample[name]
    except KeyError:
        return None


def _first_field(samples: Sequence[Mapping[str, Any]], kind: str) -> str | None:
    for sample in samples:
        for name, value in sample.items():
            if isinstance(value, dict) and value.get("_cls") == kind:
                return name
    return None


def _binary(array: Shaped[np.ndarray, "..."]) -> str:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return base64.b64encode(zlib.compress(file.getvalue())).decode("ascii")


def _array(field: Any, where: str) -> Shaped[np.ndarray, "..."]:
    try:
        inner = field["$binary"]
        text = inner["base64"] if isinstance(inner, dict) else inner
        array: Shaped[np.ndarray, "..."] = np.load(
            io.BytesIO(zlib.decompress(base64.b64decode(text, validate=True))), allow_pickle=False
        )
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise DataError(f"{where}: a mask that cannot be read ({error}); export it again") from error
    return array

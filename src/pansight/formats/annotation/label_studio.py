"""Label Studio's task JSON: brush strokes, bitmasks, polygons, rectangles and ellipses in, brush strokes out.

Source: https://labelstud.io/guide/task_format and label-studio-sdk 2.1. Coordinates are per cent of the image
and lie on pixel edges; a rectangle turns about its own upper left corner. Later regions hide earlier ones.
An annotation that was skipped is left out; of several the one that is ground truth is taken, else the last;
a task without one gives its last prediction.
"""

import base64
import binascii
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse
from xml.sax.saxutils import quoteattr

import numpy as np
from jaxtyping import Bool, Float64
from PIL import Image

from pansight.errors import DataError
from pansight.formats.annotation.brush import decode_brush, encode_brush
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
from pansight.formats.annotation.losses import NO_AREA, Lost
from pansight.formats.annotation.objects import AnnotatedImage, AnnotatedObject, cropped, objects_of
from pansight.formats.coco_files import BROKEN_PICTURE
from pansight.formats.coco_masks import polygon_mask
from pansight.panoptic import PanopticMap

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""

_CROWD = "iscrowd"
"""The note on a region that marks a crowd: Label Studio has no other place for it."""

_MODEL = "pansight"

_REGION = re.compile(r"^segment([0-9]{1,8})$")
"""The ids of the regions that are written: those of segments."""


def is_label_studio(path: Path) -> bool:
    """Whether this is a JSON of tasks, or a folder with one."""
    return _tasks_file(path) is not None


def _tasks_file(path: Path) -> Path | None:
    files = sorted(path.glob("*.json"))[:5] if path.is_dir() else [path]
    for file in files:
        tasks = peek_json(file)
        first = tasks[0] if isinstance(tasks, list) and tasks else None
        if not isinstance(first, dict) or not {"annotations", "predictions"} & first.keys():
            continue
        if isinstance(first.get("data"), dict):
            return file
    return None


class LabelStudioReader(AnnotationReader):
    """The tasks of an export in the form "JSON"; see the module."""

    def __init__(self, path: Path, images: Path | None = None, threshold: int = 0) -> None:
        """`threshold`: alpha above which a pixel belongs to a stroke, 0..254; the editor takes 0.

        Raises DataError when there are no tasks in it.
        """
        found = _tasks_file(path)
        if found is None:
            raise DataError(
                f'{path}: no tasks of Label Studio in it, data and annotations; export "JSON", not JSON-MIN'
            )
        self.where = found
        self._threshold = threshold
        self._pictures = Pictures(*([images] if images else []), found.parent, found.parent / "images")
        tasks = [task for task in load_json(found) if isinstance(task, dict)]
        self.names = [_picture_name(task) for task in tasks]
        ids = [task.get("id") for task in tasks]
        whole = all(isinstance(id, int) for id in ids) and len(set(ids)) == len(ids)
        self.image_ids = (
            [int(id) for id in ids if id is not None] if whole else list(range(1, len(tasks) + 1))
        )
        self._results = [json.dumps(_chosen(task)) for task in tasks]
        labels = (_labels(json.loads(text)) for text in self._results)
        self.classes = [
            ClassRow(name) for name in dict.fromkeys(name for names in labels for name in names.values())
        ]

    def read(self, index: int) -> AnnotatedImage:
        name = self.names[index]
        results = json.loads(self._results[index])
        height, width = self._size(name, results)
        labels = _labels(results)
        objects, lost = [], []
        for position, row in enumerate(results):
            label = labels.get(str(row.get("id")))
            kind, value = str(row.get("type")), row.get("value")
            if not isinstance(value, dict) or label is None:
                continue
            if kind in ("labels", "choices", "textarea") and "rle" not in value:
                continue
            called = f"{name}, region {row.get('id', position)} ({label})"
            try:
                mask = _mask(kind, value, height, width, self._threshold)
            except (DataError, KeyError, TypeError, ValueError) as error:
                reason = str(error) if isinstance(error, DataError) else f"lacks or garbles {error}"
                raise DataError(f"{self.where}: {called} {reason}; correct it") from error
            if mask is None:
                lost.append(Lost(NO_AREA, called))
                continue
            note = (row.get("meta") or {}).get("text") if isinstance(row.get("meta"), dict) else None
            score = row.get("score")
            own = _REGION.match(str(row.get("id")))
            objects.append(
                AnnotatedObject(
                    label,
                    *cropped(mask),
                    is_crowd=_CROWD in (note if isinstance(note, list) else [note]),
                    score=float(score) if isinstance(score, int | float) else None,
                    id=int(own[1]) if own else None,
                    name=called,
                )
            )
        return AnnotatedImage(name, height, width, tuple(objects), tuple(lost))

    def _size(self, name: str, results: list[Any]) -> tuple[int, int]:
        for row in results:
            height, width = row.get("original_height"), row.get("original_width")
            if isinstance(height, int) and isinstance(width, int):
                return height, width
        return self._pictures.size(name, "the task has no region that says its size")


class LabelStudioWriter(AnnotationWriter):
    """tasks.json, to import, and label_config.xml, the project's labelling set-up.

    Segments with scores become predictions (pre-annotations), the others annotations. `data.image` is the
    name of the image: prefix it as your storage requires.
    """

    @property
    def targets(self) -> tuple[Path, ...]:
        return (*super().targets, self.folder / "tasks.json", self.folder / "label_config.xml")

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        size = {"original_width": panoptic.width, "original_height": panoptic.height}
        results = []
        for one in objects_of(panoptic):
            mask = panoptic.mask(one.id or 0)
            row: dict[str, Any] = {
                "id": f"segment{one.id}",
                "type": "brushlabels",
                "from_name": "brush",
                "to_name": "image",
                "origin": "manual" if one.score is None else "prediction",
                "image_rotation": 0,
                **size,
                "value": {"format": "rle", "rle": encode_brush(mask), "brushlabels": [one.label]},
            }
            if one.score is not None:
                row["score"] = one.score
            if one.is_crowd:
                row["meta"] = {"text": [_CROWD]}
            results.append(row)
        scores = [row["score"] for row in results if "score" in row]
        task: dict[str, Any] = {"data": {"image": picture.name}}
        if isinstance(picture.id, int):
            task["id"] = picture.id
        if scores:
            mean = sum(scores) / len(scores)
            task["predictions"] = [{"model_version": _MODEL, "score": mean, "result": results}]
        else:
            task["annotations"] = [{"was_cancelled": False, "ground_truth": False, "result": results}]
        return Written(json.dumps(task))

    def _save(self, rows: Sequence[Any]) -> Path:
        labels = "".join(
            f'    <Label value={quoteattr(item.name)} background="#{bytes(item.color).hex()}"/>\n'
            for item in self.categories
        )
        config = (
            '<View>\n  <Image name="image" value="$image"/>\n'
            f'  <BrushLabels name="brush" toName="image">\n{labels}  </BrushLabels>\n</View>\n'
        )
        write_text(self.folder / "label_config.xml", config)
        return write_text(self.folder / "tasks.json", "[\n" + ",\n".join(rows) + "\n]\n")


def _picture_name(task: Mapping[str, Any]) -> str:
    """The file of a task's image: the first value of its data that looks like one."""
    data = task["data"] if isinstance(task.get("data"), dict) else {}
    values = [value for value in (data.get("image"), *data.values()) if isinstance(value, str) and value]
    address = urlparse(values[0] if values else f"task-{task.get('id')}")
    within = parse_qs(address.query).get("d")
    path = within[0] if within else unquote(address.path)
    if "/upload/" in path:
        return _UPLOADED.sub("", path.rpartition("/")[2])
    return path.lstrip("/") if address.scheme in ("", "file") else path.rpartition("/")[2]


def _chosen(task: Mapping[str, Any]) -> list[Any]:
    """The regions of the annotation that counts; see the module."""
    done = [
        one
        for one in task.get("annotations") or ()
        if isinstance(one, dict) and not one.get("was_cancelled") and isinstance(one.get("result"), list)
    ]
    truth = [one for one in done if one.get("ground_truth")]
    guessed = [one for one in task.get("predictions") or () if isinstance(one, dict)]
    best = max(truth or done, key=lambda one: str(one.get("updated_at") or ""), default=None)
    if best is None:
        best = guessed[-1] if guessed else {}
    return [row for row in best.get("result") or () if isinstance(row, dict)]


def _labels(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The first label of each region, by its id: its own, or that of the result that shares the id."""
    found: dict[str, str] = {}
    for row in results:
        value = row.get("value")
        names = value.get(str(row.get("type"))) if isinstance(value, dict) else None
        if isinstance(names, list) and names and str(row.get("type")).endswith("labels"):
            found.setdefault(str(row.get("id")), str(names[0]))
    return found


def _mask(
    kind: str, value: Mapping[str, Any], height: int, width: int, threshold: int
) -> Bool[np.ndarray, "h w"] | None:
    """The pixels of a region; None where its kind has no area."""
    scale = np.array([width, height]) / 100
    if "rle" in value:
        return decode_brush(value["rle"], height, width, threshold)
    if kind.startswith("bitmask"):
        return _bitmask(str(value["imageDataURL"]), height, width)
    if kind.startswith("polygon"):
        return polygon_mask((np.asarray(value["points"], np.float64) * scale).ravel().tolist(), height, width)
    if kind.startswith("vector") and value.get("closed"):
        vertices = [[corner["x"], corner["y"]] for corner in value["vertices"]]
        return polygon_mask((np.asarray(vertices, np.float64) * scale).ravel().tolist(), height, width)
    if kind.startswith(("rectangle", "ellipse")):
        origin = np.array([float(value["x"]), float(value["y"])]) * scale
        angle = np.deg2rad(float(value.get("rotation") or 0))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        if kind.startswith("rectangle"):
            wide, high = np.array([float(value["width"]), float(value["height"])]) * scale
            corners = np.array([[0, 0], [wide, 0], [wide, high], [0, high]])
            return polygon_mask((corners @ turn + origin).ravel().tolist(), height, width)
        radii = np.array([float(value["radiusX"]), float(value["radiusY"])]) * scale
        return _ellipse(origin, radii, turn, height, width)
    return None


def _ellipse(
    centre: Float64[np.ndarray, "2"],
    radii: Float64[np.ndarray, "2"],
    turn: Float64[np.ndarray, "2 2"],
    height: int,
    width: int,
) -> Bool[np.ndarray, "h w"]:
    """The pixels whose centre lies in an ellipse."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    local = (np.stack([x, y], axis=-1) - centre) @ turn.T
    inside: Bool[np.ndarray, "h w"] = ((local / np.maximum(radii, 1e-9)) ** 2).sum(axis=-1) <= 1
    return inside


def _bitmask(address: str, height: int, width: int) -> Bool[np.ndarray, "h w"]:
    try:
        with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2], validate=True))) as opened:
            alpha: Bool[np.ndarray, "h w"] = np.asarray(opened.convert("RGBA"))[..., 3] > 0
    except (binascii.Error, *BROKEN_PICTURE) as error:
        raise DataError(f"is a bitmask whose PNG cannot be read ({error})") from error
    if alpha.shape != (height, width):
        raise DataError(f"is a bitmask of {alpha.shape[1]} x {alpha.shape[0]} pixels, not {width} x {height}")
    return alpha

"""CVAT's XML 1.1 for images: exact masks, holes, parts, order, crowds and scores; nothing says what is stuff.

Source: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/, and server code of 2024-07. Masks
are run lengths along the rows of their box, the first one background. Polygons and boxes have corners on
pixel edges. Shapes lie in the order of `z_order`; file order alone is wrong. Shapes with the same group_id
are one object. What is written has the segment's id as the attribute `segment_id`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np
from jaxtyping import Bool

from pansight.errors import DataError
from pansight.formats.annotation.door import (
    AnnotationReader,
    AnnotationWriter,
    ClassRow,
    Picture,
    Written,
    write_text,
)
from pansight.formats.annotation.losses import NO_AREA, Lost
from pansight.formats.annotation.objects import AnnotatedImage, AnnotatedObject, clipped, cropped, objects_of
from pansight.formats.annotation.runs import from_row_runs, row_runs
from pansight.formats.coco_masks import polygon_mask
from pansight.panoptic import PanopticMap

_NO_AREA = ("polyline", "points", "skeleton", "cuboid")
_NO_CLASS = ("skeleton", "points", "polyline", "tag", "cuboid")
_AREAS = ("mask", "polygon", "box", "ellipse")
_ID = "segment_id"
_CROWD = ("is_crowd", "iscrowd", "crowd")


def is_cvat(path: Path) -> bool:
    """Whether this is CVAT's XML, or a folder with its annotations.xml."""
    file = path / "annotations.xml" if path.is_dir() else path
    if file.suffix.lower() != ".xml" or not file.is_file():
        return False
    with file.open("rb") as opened:
        return b"<annotations>" in opened.read(2000)


class CvatReader(AnnotationReader):
    """The images of an annotations.xml; see the module."""

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """Raises DataError when it is not CVAT's XML for images, such as that for video."""
        self.where = path / "annotations.xml" if path.is_dir() else path
        try:
            root = ElementTree.parse(self.where).getroot()
        except (OSError, ElementTree.ParseError) as error:
            raise DataError(f"{self.where}: cannot be read as XML ({error}); export it again") from error
        if root.tag != "annotations":
            raise DataError(f'{self.where}: no <annotations> in it; export "CVAT for images 1.1"')
        found = root.findall("image")
        if not found:
            video = root.find("track") is not None
            hint = 'is "CVAT for video"' if video else "has no images"
            raise DataError(f'{self.where}: {hint}; export "CVAT for images 1.1" instead')
        self.names = [str(element.get("name", "")) for element in found]
        numbers = [int(element.get("id", position)) for position, element in enumerate(found)]
        unique = len(set(numbers)) == len(numbers)
        self.image_ids = numbers if unique else list(range(1, len(numbers) + 1))
        self._images = [ElementTree.tostring(element) for element in found]
        self.classes = _classes(root, found)

    def read(self, index: int) -> AnnotatedImage:
        element = ElementTree.fromstring(self._images[index])
        name = self.names[index]
        where = f"{self.where}: image {name!r}"
        try:
            height, width = int(element.get("height", "")), int(element.get("width", ""))
        except ValueError as error:
            raise DataError(f"{where} has no width and height; export it again") from error
        objects, lost = [], []
        for position, shape in enumerate(element):
            label = shape.get("label", "")
            called = f"{name}, shape {position} ({label})"
            if shape.tag in _NO_AREA:
                lost.append(Lost(NO_AREA, called))
            elif shape.tag in _AREAS:
                try:
                    objects.append(_object(shape, label, called, height, width))
                except (DataError, ValueError, KeyError, TypeError) as error:
                    raise DataError(
                        f"{where}, {shape.tag} {position} ({label}) {error}; correct it"
                    ) from error
        return AnnotatedImage(name, height, width, tuple(objects), tuple(lost))


class CvatWriter(AnnotationWriter):
    """annotations.xml with one <mask> per segment, and labels.json to paste into CVAT's raw label editor."""

    @property
    def targets(self) -> tuple[Path, ...]:
        return (*super().targets, self.folder / "annotations.xml", self.folder / "labels.json")

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        size = f'width="{panoptic.width}" height="{panoptic.height}"'
        shapes = "".join(_mask_element(one, position) for position, one in enumerate(objects_of(panoptic)))
        return Written((picture.name, size, shapes))

    def _save(self, rows: Sequence[Any]) -> Path:
        labels = [_label_row(item.name, item.color, item.is_thing) for item in self.categories]
        write_text(self.folder / "labels.json", json.dumps(labels, indent=1))
        path = self.folder / "annotations.xml"
        images = (
            f'  <image id="{number}" name={quoteattr(name)} {size}>\n{shapes}  </image>\n'
            for number, (name, size, shapes) in enumerate(rows)
        )
        return write_text(path, "".join([_head(labels, len(rows)), *images, "</annotations>\n"]))


def _classes(root: ElementTree.Element, images: list[ElementTree.Element]) -> list[ClassRow]:
    """The labels that the file lists, and those of shapes that it does not."""
    rows: dict[str, ClassRow] = {}
    for label in root.iter("label"):
        name, kind = label.findtext("name"), label.findtext("type")
        if name and label.find("parent") is None and kind not in _NO_CLASS:
            rows.setdefault(name, ClassRow(name, color=_color(label.findtext("color"))))
    for image in images:
        for shape in image:
            name = shape.get("label")
            if shape.tag in _AREAS and name:
                rows.setdefault(name, ClassRow(name))
    return list(rows.values())


def _color(text: str | None) -> tuple[int, int, int] | None:
    try:
        red, green, blue = bytes.fromhex((text or "").removeprefix("#"))
    except ValueError:
        return None
    return red, green, blue


def _object(shape: ElementTree.Element, label: str, name: str, height: int, width: int) -> AnnotatedObject:
    attributes = {one.get("name", ""): (one.text or "").strip() for one in shape.findall("attribute")}
    crop = _mask(shape, height, width)
    group = int(float(shape.get("group_id") or 0)) or None
    crowd = any(attributes.get(key, "").lower() in ("true", "1") for key in _CROWD)
    try:
        score = float(attributes["score"]) if "score" in attributes else None
    except ValueError:
        score = None
    number = attributes.get(_ID, "")
    id = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else None
    order = float(shape.get("z_order") or 0)
    return AnnotatedObject(
        label, *crop, group=group, is_crowd=crowd, score=score, order=order, id=id, name=name
    )


def _mask(shape: ElementTree.Element, height: int, width: int) -> tuple[Bool[np.ndarray, "r c"], int, int]:
    number = {key: float(value) for key, value in shape.items() if key in _NUMBERS}
    if shape.tag == "mask":
        rows, columns = int(number["height"]), int(number["width"])
        runs = [float(run) for run in shape.get("rle", "").split(",")]
        mask = from_row_runs(runs, rows, columns)
        return clipped(mask, int(number["left"]), int(number["top"]), height, width)
    if shape.tag == "polygon":
        points = [float(side) for pair in shape.get("points", "").split(";") for side in pair.split(",")]
        return cropped(polygon_mask(points, height, width))
    if shape.tag == "ellipse":
        return cropped(_ellipse(number, height, width))
    left, top, right, bottom = (number[key] for key in ("xtl", "ytl", "xbr", "ybr"))
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    angle = np.deg2rad(number.get("rotation", 0.0))
    centre = corners.mean(axis=0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return cropped(polygon_mask(((corners - centre) @ turn + centre).ravel().tolist(), height, width))


_NUMBERS = (
    "left", "top", "width", "height", "xtl", "ytl", "xbr", "ybr", "cx", "cy", "rx", "ry", "rotation",
)  # fmt: skip


def _ellipse(number: dict[str, float], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The pixels whose index lies in the ellipse of rounded centre and axes, as CVAT's server draws it."""
    x, y = np.arange(width) - round(number["cx"]), np.arange(height)[:, None] - round(number["cy"])
    angle = np.deg2rad(number.get("rotation", 0.0))
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    inside: Bool[np.ndarray, "h w"] = (along / max(round(number["rx"]), 0.5)) ** 2 + (
        across / max(round(number["ry"]), 0.5)
    ) ** 2 <= 1
    return inside


def _mask_element(one: AnnotatedObject, order: int) -> str:
    runs = ", ".join(map(str, row_runs(one.mask).tolist()))
    height, width = one.mask.shape
    attributes = f'      <attribute name="{_ID}">{one.id}</attribute>\n'
    if one.is_crowd:
        attributes += '      <attribute name="is_crowd">true</attribute>\n'
    if one.score is not None:
        attributes += f'      <attribute name="score">{one.score:.6g}</attribute>\n'
    source = "manual" if one.score is None else "auto"
    return (
        f'    <mask label={quoteattr(one.label)} source="{source}" occluded="0" rle="{runs}" '
        f'left="{one.left}" top="{one.top}" width="{width}" height="{height}" z_order="{order}">\n'
        f"{attributes}    </mask>\n"
    )


def _label_row(name: str, color: tuple[int, int, int], is_thing: bool) -> dict[str, Any]:
    """A label as CVAT's raw label editor takes it."""
    crowd = {
        "name": "is_crowd",
        "mutable": False,
        "input_type": "checkbox",
        "default_value": "false",
        "values": ["false"],
    }
    score = {**crowd, "name": "score", "input_type": "text", "default_value": "", "values": [""]}
    attributes = [*([crowd] if is_thing else []), score, {**score, "name": _ID}]
    return {
        "name": name,
        "color": "#{:02x}{:02x}{:02x}".format(*color),
        "type": "any",
        "attributes": attributes,
    }


def _head(labels: list[dict[str, Any]], count: int) -> str:
    root = ElementTree.Element("meta")
    task = ElementTree.SubElement(root, "task")
    for tag, text in (("name", "pansight"), ("size", str(count)), ("mode", "annotation")):
        ElementTree.SubElement(task, tag).text = text
    listed = ElementTree.SubElement(task, "labels")
    for label in labels:
        row = ElementTree.SubElement(listed, "label")
        for key in ("name", "color", "type"):
            ElementTree.SubElement(row, key).text = label[key]
        attributes = ElementTree.SubElement(row, "attributes")
        for one in label["attributes"]:
            attribute = ElementTree.SubElement(attributes, "attribute")
            for key in ("name", "mutable", "input_type", "default_value"):
                ElementTree.SubElement(attribute, key).text = str(one[key])
            ElementTree.SubElement(attribute, "values").text = "\n".join(one["values"])
    ElementTree.indent(root, level=1)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  {text}\n'

"""What `pansight data convert` reads: which format a source has, and the panoptic truth in it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansight.cli.datasets import open_from_options
from pansight.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansight.categories import Categories
    from pansight.datatools.preparing.plan import TruthSource
    from pansight.formats.annotation import AnnotationFormat, AnnotationWriter

PANOPTIC = ("coco-panoptic", "panoptic", "coco")
INSTANCES = ("coco-instances", "instances")
TOOLS = (
    "coco-instances, cvat, cvat-mask, label-studio, labelme, datumaro, supervisely, segments-ai, v7, yolo, "
    "voc, bdd100k, huggingface, fiftyone"
)
"""The formats of annotation tools, for help texts; a test holds it equal to those there are."""
VIDEO_SETS = "kitti-step, cityscapes-vps, vipseg"
"""The formats of video data sets, likewise."""


def writer_of_tool(format: str, own: str) -> "Callable[[Path, Categories], AnnotationWriter]":
    """What writes the files of the tool or video data set that --format of `predict` names.

    Raises InputError when there is none; `own`: what else the option takes, in words.
    """
    from pansight.formats.annotation import find_writer

    try:
        return find_writer(format)
    except InputError:
        raise InputError(
            f"format {format!r} is unknown; use {own}, a tool's: {TOOLS}, or a video data set's: {VIDEO_SETS}"
        ) from None


@dataclass(frozen=True)
class SourceOptions:
    """The options that say how a source is to be read; None, or False, where the user says nothing."""

    with_stuff: Path | None = None
    stuff_offset: int = 0
    things: str | None = None
    stuff: str | None = None
    labels: Path | None = None
    categories: str | None = None
    boxes_as_masks: bool = False
    no_crowds: bool = False
    brush_threshold: int | None = None
    kind: str | None = None
    split: str | None = None
    panoptic: Path | None = None
    images: Path | None = None
    skip: tuple[Path, ...] = field(default=())

    def refuse(self, what: str, *names: str) -> None:
        """Raise InputError where one of these options is given, which mean nothing for `what`."""
        for name in names:
            if getattr(self, name) not in (None, False):
                raise InputError(f"--{name.replace('_', '-')} means nothing for {what}; leave it out")


@dataclass(frozen=True)
class Opened:
    """A source that was opened, and the name that its panoptic JSON gets."""

    truth: "TruthSource"
    name: str


def open_source(source: Path, given: str | None, to_panoptic: bool, options: SourceOptions) -> Opened:
    """Open a source as the format that is `given`, or as the one that is recognised.

    Raises InputError or DataError, in one line, when it is none, or options do not fit it.
    """
    from pansight.data.opening import KINDS
    from pansight.formats.annotation import find_format, recognised_format

    name = given.lower().replace("_", "-") if given is not None else None
    if name in PANOPTIC:
        return _data_set(source, options)
    if name in INSTANCES:
        return _instances_of(source, options)
    if name in KINDS:
        return _data_set(source, replace(options, kind=name))
    if name is not None:
        return _tool(source, find_format(name), options)
    found = recognised_format(source)
    if found is not None and (found.name != "labelme" or source.is_file()):
        return _tool(source, found, options)
    if source.is_dir():
        if options.kind is not None:
            return _data_set(source, options)
        # Data that is already panoptic is seldom meant where there is something else to convert.
        orders = (_panoptic_in, _instances_in) if not to_panoptic else (_instances_in, _panoptic_in)
        for look in orders[:1] if found is not None and to_panoptic else orders:
            opened = look(source, options)
            if opened is not None:
                return opened
        return _tool(source, find_format("labelme"), options)
    if _is_of_videos(source) or not (to_panoptic or _holds_instances(source)):
        return _data_set(source, options)
    return _instances_of(source, options)


def _instances_in(source: Path, options: SourceOptions) -> Opened | None:
    """The COCO instances in a folder, None where there are none."""
    return None if _instances_file(source, options.split) is None else _instances_of(source, options)


def _is_of_videos(source: Path) -> bool:
    from pansight.data.videos import is_nested

    return is_nested(source)


def _panoptic_in(source: Path, options: SourceOptions) -> Opened | None:
    """The data set with panoptic labels in a folder, None where there is none."""
    from pansight.data.opening import UnknownLayoutError, dataset_splits

    try:
        dataset_splits(source, panoptic=options.panoptic)
    except UnknownLayoutError:
        return None
    return _data_set(source, options)


def _holds_instances(source: Path) -> bool:
    from pansight.formats.coco_files import is_instances_file, read_json

    return is_instances_file(read_json(source))


def _data_set(source: Path, options: SourceOptions) -> Opened:
    what = "a data set with panoptic labels"
    options.refuse(what, "with_stuff", "things", "stuff", "labels", "boxes_as_masks", "no_crowds")
    options.refuse(what, "brush_threshold")
    data = open_from_options(
        str(source), options.kind, options.split, options.images, options.panoptic, options.categories
    )
    return Opened(data, "panoptic" if source.is_dir() else source.stem)


def _instances_of(source: Path, options: SourceOptions) -> Opened:
    from pansight.datatools.preparing.classes import read_names

    file = _instances_file(source, options.split)
    if file is None:
        raise InputError(f"{source}: no JSON of COCO instances in it; check the folder")
    options.refuse("COCO instances", "labels", "kind", "panoptic", "brush_threshold")
    if options.categories is not None:
        options.refuse("COCO instances with --categories, which say it", "things", "stuff")
    given = {
        "things": None if options.things is None else read_names(options.things),
        "stuff_names": None if options.stuff is None else read_names(options.stuff),
        "boxes": options.boxes_as_masks,
        "crowds": not options.no_crowds,
    }
    return Opened(_merged(file, options, given), _panoptic_name(file))


def _tool(source: Path, kind: "AnnotationFormat", options: SourceOptions) -> Opened:
    """The files of an annotation tool."""
    from pansight.datatools.preparing.annotated import AnnotatedSource, spoken_categories
    from pansight.datatools.preparing.classes import read_names
    from pansight.formats.annotation.objects import VOID_LABELS
    from pansight.panoptic.checks import shortened

    what = f"{kind.name} files"
    options.refuse(what, "boxes_as_masks", "no_crowds", "with_stuff", "kind", "split", "panoptic")
    more: dict[str, Any] = {}
    if kind.name == "labelme":
        more["skip"] = [*options.skip, *([Path(options.categories)] if options.categories else [])]
    if kind.name == "label-studio":
        more["threshold"] = options.brush_threshold or 0
    else:
        options.refuse(what, "brush_threshold")
    if kind.name != "labelme":
        options.refuse(what, "labels")
    if options.categories is not None:
        options.refuse("--categories", "things", "stuff", "labels")
    reader = kind.reader(source, options.images, **more)
    things = None if options.things is None else read_names(options.things)
    stuff = None if options.stuff is None else read_names(options.stuff)
    order = None
    if options.labels is not None:
        order = [name for name in read_names(str(options.labels)) if name not in VOID_LABELS]
    categories = spoken_categories(reader, things, stuff, options.categories, order)
    known = {row.name for row in reader.classes} | set(order or ())
    strange = [name for name in (*(things or ()), *(stuff or ())) if name not in known]
    remarks = [f"no label is called {shortened(strange)}: written as classes without a segment"]
    return Opened(AnnotatedSource(reader, categories, remarks if strange else ()), "panoptic")


def _instances_file(source: Path, split: str | None) -> Path | None:
    """The JSON of COCO instances that is meant; None for a folder of something else."""
    from pansight.data.instances_files import find_instances
    from pansight.data.opening import choose_split

    if not source.is_dir():
        return source
    found = find_instances(source)
    if not found:
        return None
    if len(found) > 1:
        by_split = {_split_name(path, source): path for path in found}
        if split is None:
            listed = ", ".join(str(path.relative_to(source)) for path in found[:6])
            raise InputError(
                f"{source}: has {len(found)} files of COCO instances ({listed}); give one, or --split"
            )
        return by_split[choose_split(by_split, split, source)]
    return found[0]


def _split_name(path: Path, source: Path) -> str:
    """instances_val2017.json is val2017, and train/_annotations.coco.json is train."""
    if path.stem == "_annotations.coco" and path.parent != source:
        return path.parent.name
    return path.stem.removeprefix("instances").strip("_")


def _merged(source: Path, options: SourceOptions, given: dict[str, Any]) -> "TruthSource":
    from pansight.datatools.preparing.classes import load_categories, map_values
    from pansight.datatools.preparing.coco_merge import CocoMerge
    from pansight.formats.coco_files import read_json

    with_stuff, offset, categories = options.with_stuff, options.stuff_offset, options.categories
    content = read_json(source)
    if any(isinstance(row, dict) and "segments_info" in row for row in content["annotations"][:1]):
        raise InputError(f"{source} is COCO panoptic already; choose another form with --to")
    rows = content.get("categories")
    names = [row.get("name") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    own = with_stuff / "classes.json" if with_stuff is not None else None
    if categories is None and own is not None and own.is_file():
        categories = str(own)
    spoken = load_categories(categories, {str(name) for name in names}) if categories is not None else None
    values = None
    if own is not None and spoken is not None and not offset:
        # What was written with the maps says best what their values are.
        for file in (own, Path(str(categories))):
            values = values or map_values(file, spoken)
    return CocoMerge(source, with_stuff, spoken, stuff_offset=offset, stuff_values=values, **given)


def _panoptic_name(source: Path) -> str:
    """instances_val2017.json is panoptic_val2017.json."""
    if source.is_dir() or source.stem == "_annotations.coco":
        return "panoptic"
    return f"panoptic_{source.stem.removeprefix('instances').strip('_')}".strip("_")

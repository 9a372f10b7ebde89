"""`pansight data convert`: labels from one format to another, of data sets and of annotation tools."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pansight.cli.convert_sources import INSTANCES, PANOPTIC, TOOLS, VIDEO_SETS, SourceOptions, open_source
from pansight.cli.converting import WorkersOption, run_conversion
from pansight.cli.datasets import ImagesOption, KindOption, PanopticOption, SplitOption
from pansight.cli.threads import share_cores
from pansight.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansight.datatools.preparing.plan import TruthSource

FORMAT_NAMES = f"coco-panoptic, {TOOLS}, {VIDEO_SETS}"
"""What --from and --to may be called, for their help; a test holds it equal to the formats there are."""


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="What an annotation tool exported, a COCO JSON or a folder with one, a folder of "
            "labelme files; for formats other than COCO panoptic, also any data set that can be opened.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Argument(help="Folder to write to.", show_default=False)],
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help=f"{FORMAT_NAMES}; cityscapes (instanceIds and labelIds), semantic (PNG of classes). Short: "
            "panoptic, instances.",
        ),
    ] = "panoptic",
    source_format: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help="The format of SOURCE, one of the same; detected if not given.",
            show_default=False,
        ),
    ] = None,
    with_stuff: Annotated[
        Path | None,
        typer.Option(
            help="Stuff that goes with COCO instances: a JSON, or a folder of label maps (PNG).",
            show_default=False,
        ),
    ] = None,
    stuff_offset: Annotated[
        int,
        typer.Option(help="Category id less value of a label map; 1 for COCO's stuffthingmaps."),
    ] = 0,
    things: Annotated[
        str | None,
        typer.Option(help="Countable classes: 'car, person', or a file of names."),
    ] = None,
    stuff: Annotated[
        str | None,
        typer.Option(help="Classes that are not countable: 'road, sky', or a file of names."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="All classes of labelme files in order, one in each line (labelme's labels.txt)."),
    ] = None,
    categories: Annotated[
        str | None,
        typer.Option(help="The category set to use: a JSON, or coco, cityscapes, ade20k, mapillary."),
    ] = None,
    class_map: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE.yaml",
            help="Lines `new category: its category`, a list of several, or null; what no line names becomes "
            "void.",
            show_default=False,
        ),
    ] = None,
    boxes_as_masks: Annotated[
        bool,
        typer.Option("--boxes-as-masks", help="COCO instances: fill the box of an object without a mask."),
    ] = False,
    no_crowds: Annotated[
        bool,
        typer.Option(
            "--no-crowds",
            help="COCO instances: treat all objects as single, whatever iscrowd says (CVAT: 1 for any mask).",
        ),
    ] = False,
    brush_threshold: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=254,
            help="Label Studio: alpha above which a pixel belongs to a brush stroke, whose edges are soft; "
            "0, as the tool takes it, if not given, 127 for the drawn outline.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the panoptic JSON, without its ending.", show_default=False),
    ] = None,
    kind: KindOption = None,
    split: SplitOption = None,
    panoptic: PanopticOption = None,
    images: ImagesOption = None,
    workers: WorkersOption = None,
) -> None:
    """Convert labels from one format to another.

    A panoptic map has one object a pixel. Where objects overlap, the order of the tool counts (z_order of
    CVAT and Datumaro, later on top elsewhere); of COCO instances the smaller one is on top (the one with the
    higher score, if there are scores), and all objects hide stuff. What has no pixels, lies largely outside
    of its image, is hidden, or has no place in the target, is counted and named.

    Only COCO panoptic, Segments.ai and the like say which classes are stuff: elsewhere name them by --things
    or --stuff, or put a classes.json next to the source, as every export here has one. Classes of COCO
    instances and of YOLO are things but for those with isthing 0, or named by --stuff.

    Exit code: 0 all went well, 1 some images failed or no object has a pixel, 2 nothing could be done.
    """
    share_cores()
    from pansight.datatools.preparing.annotated import ToolExport
    from pansight.datatools.preparing.exporting import Export, Form
    from pansight.datatools.preparing.plan import plan_panoptic
    from pansight.datatools.preparing.workers import default_workers
    from pansight.datatools.preparing.writing import Conversion, Preparation

    target = _target(to)
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; check the path")
    if target != "panoptic" and name is not None:
        raise InputError(f"--name means nothing for {target}; leave it out")
    options = SourceOptions(
        with_stuff=with_stuff,
        stuff_offset=stuff_offset,
        things=things,
        stuff=stuff,
        labels=labels,
        categories=categories if class_map is None else None,
        boxes_as_masks=boxes_as_masks,
        no_crowds=no_crowds,
        brush_threshold=brush_threshold,
        kind=kind,
        split=split,
        panoptic=panoptic,
        images=images,
        skip=(output / f"{name or 'panoptic'}.json",),
    )
    opened = open_source(source, source_format, target == "panoptic" and class_map is None, options)
    made = opened.truth if class_map is None else _mapped(opened.truth, class_map, categories)
    shown = opened.name if class_map is None else f"panoptic_{split or 'mapped'}"
    count = workers or default_workers()
    conversion: Conversion
    if target == "panoptic":
        there = images or getattr(made, "pictures_elsewhere", None) or _pictures_at(source, made.names)
        conversion = Preparation(made, plan_panoptic(made, output, name or shown), count, images=there)
    elif target in tuple(Form):
        conversion = Export(made, output, Form(target), count)
    else:
        from pansight.formats.annotation import find_writer

        conversion = ToolExport(made, find_writer(target)(output, made.categories), count)
    for remark in getattr(opened.truth, "remarks", ()):
        print(f"remark: {remark}", file=sys.stderr)
    if not len(made.categories.thing_indices):
        print(
            "remark: isthing is 0 of all categories, so nothing is an object; if that is wrong, correct the "
            "source's categories",
            file=sys.stderr,
        )
    run_conversion(conversion, "converting", "converted")


def _pictures_at(source: Path, names: "Sequence[str]") -> Path | None:
    """The folder with the images of a tool's project, where it has them; by their whole names."""
    base = source if source.is_dir() else source.parent
    places = (base / name for name in ("", "images", "data", "JPEGImages", "images/default", "img"))
    return next((place for place in places if any((place / name).is_file() for name in names[:5])), None)


def _mapped(source: "TruthSource", file: Path, categories: str | None) -> "TruthSource":
    """The source in the categories of a class map, or in those named, with a remark on what was ignored."""
    from pansight.cli.datasets import as_categories
    from pansight.data.class_maps import categories_of, correspond, read_class_map
    from pansight.data.relabelled import Relabelled

    mapping = read_class_map(file)
    wanted = categories_of(mapping, source.categories) if categories is None else as_categories(categories)
    found = correspond(mapping, wanted, source.categories)
    strange = [s for sources in mapping.values() for s in sources if s not in source.categories.names]
    if strange:
        print(f"remark: the class map names {', '.join(strange)}, which the data does not have; ignored")
    # only maps are asked for, and every source of truth has those
    return Relabelled(source, found.places, wanted)


def _target(to: str) -> str:
    """The form or format that --to means. Raises InputError, listing all, when there is none."""
    from pansight.formats.annotation import VIDEO_WRITERS, find_format

    wanted = to.lower().replace("_", "-")
    if wanted in PANOPTIC:
        return "panoptic"
    if wanted in INSTANCES:
        return "instances"
    if wanted in ("cityscapes", "semantic") or wanted in VIDEO_WRITERS:
        return wanted
    try:
        return find_format(wanted).name
    except InputError:
        raise InputError(f"--to {to} is not a format; use {FORMAT_NAMES}, cityscapes or semantic") from None

"""`pansight data convert`: labels of other tools to COCO panoptic, and COCO panoptic to other forms."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pansight.cli.converting import WorkersOption, run_conversion
from pansight.cli.datasets import KindOption, PanopticOption, SplitOption, open_from_options
from pansight.cli.threads import share_cores
from pansight.errors import InputError

if TYPE_CHECKING:
    from pansight.datatools.preparing.plan import TruthSource

_FORMS = ("panoptic", "cityscapes", "semantic", "instances")


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="A COCO instances JSON, or a folder of labelme files; for other forms than panoptic, any "
            "data set that can be opened, such as a COCO panoptic JSON.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Argument(help="Folder for what is written.", show_default=False)],
    to: Annotated[
        str,
        typer.Option(
            metavar="[panoptic|cityscapes|semantic|instances]",
            help="COCO panoptic; Cityscapes instanceIds and labelIds; PNG of classes; COCO instances JSON.",
        ),
    ] = "panoptic",
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
        typer.Option(help="Classes of polygons that are countable: 'car, person', or a file of names."),
    ] = None,
    stuff: Annotated[
        str | None,
        typer.Option(help="Classes of polygons that are not: 'road, sky', or a file of names."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="All classes of polygons in order, one in each line (labelme's labels.txt)."),
    ] = None,
    categories: Annotated[
        str | None,
        typer.Option(help="The classes to speak in: a JSON, or coco, cityscapes, ade20k, mapillary."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the panoptic JSON, without its ending.", show_default=False),
    ] = None,
    kind: KindOption = None,
    split: SplitOption = None,
    panoptic: PanopticOption = None,
    workers: WorkersOption = None,
) -> None:
    """Convert labels to COCO panoptic, or COCO panoptic to other forms.

    Where objects overlap, the smaller one is on top (the one with the higher score, if there are scores), and
    all objects hide stuff; of polygons, the later one is on top.

    Exit code: 0 all went well, 1 some pictures failed, 2 nothing could be done.
    """
    share_cores()
    from pansight.datatools.preparing.exporting import Export, Form
    from pansight.datatools.preparing.plan import plan_panoptic
    from pansight.datatools.preparing.workers import default_workers
    from pansight.datatools.preparing.writing import Preparation

    if to not in _FORMS:
        raise InputError(f"--to {to} is no form; use {', '.join(_FORMS[:-1])} or {_FORMS[-1]}")
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; check the path")
    count = workers or default_workers()
    if to != "panoptic":
        _refuse(to, with_stuff=with_stuff, things=things, stuff=stuff, labels=labels, name=name)
        opened = open_from_options(str(source), kind, split, None, panoptic, categories)
        run_conversion(Export(opened, output, Form(to), count), "converting", "converted")
        return
    if source.is_dir():
        _refuse("polygons", with_stuff=with_stuff, kind=kind, split=split, panoptic=panoptic)
        table = output / f"{name or 'panoptic'}.json"
        made = _polygons(source, categories, things, stuff, labels, table)
    else:
        _refuse("COCO instances", things=things, stuff=stuff, labels=labels)
        _refuse("COCO instances", kind=kind, split=split, panoptic=panoptic)
        made = _instances(source, with_stuff, stuff_offset, categories)
    plan = plan_panoptic(made, output, name or _panoptic_name(source))
    run_conversion(Preparation(made, plan, count), "converting", "converted")


def _polygons(
    folder: Path,
    categories: str | None,
    things: str | None,
    stuff: str | None,
    labels: Path | None,
    table: Path,
) -> "TruthSource":
    from pansight.datatools.preparing.classes import load_categories, named_categories, read_names
    from pansight.datatools.preparing.polygons import VOID_LABELS, LabelmePolygons, find_labels

    skip = [table] + ([Path(categories)] if categories is not None else [])
    if categories is not None:
        _refuse("--categories", things=things, stuff=stuff, labels=labels)
        return LabelmePolygons(folder, load_categories(categories), skip)
    listed = read_names(str(labels)) if labels is not None else None
    known = [name for name in listed if name not in VOID_LABELS] if listed else None
    countable = read_names(things) if things is not None else None
    rest = read_names(stuff) if stuff is not None else None
    if known is None:
        known = [] if countable is not None and rest is not None else find_labels(folder, skip)
    return LabelmePolygons(folder, named_categories(countable, rest, known), skip)


def _instances(source: Path, with_stuff: Path | None, offset: int, categories: str | None) -> "TruthSource":
    from pansight.datatools.preparing.classes import load_categories
    from pansight.datatools.preparing.coco_merge import CocoMerge
    from pansight.formats.coco_files import read_json

    content = read_json(source)
    if any(isinstance(row, dict) and "segments_info" in row for row in content["annotations"][:1]):
        raise InputError(f"{source} is COCO panoptic already; choose another form with --to")
    rows = content.get("categories")
    names = [row.get("name") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    spoken = load_categories(categories, {str(name) for name in names}) if categories is not None else None
    return CocoMerge(source, with_stuff, spoken, stuff_offset=offset)


def _panoptic_name(source: Path) -> str:
    """instances_val2017.json is panoptic_val2017.json."""
    if source.is_dir():
        return "panoptic"
    return f"panoptic_{source.stem.removeprefix('instances').strip('_')}".strip("_")


def _refuse(what: str, **options: object) -> None:
    for option, value in options.items():
        if value is not None:
            raise InputError(f"--{option.replace('_', '-')} means nothing for {what}; leave it out")

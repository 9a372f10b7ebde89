"""`pansight data convert`: labels of other tools to COCO panoptic, and COCO panoptic to other forms."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pansight.cli.converting import WorkersOption, run_conversion
from pansight.cli.datasets import KindOption, PanopticOption, SplitOption, open_from_options
from pansight.cli.threads import share_cores
from pansight.errors import InputError

if TYPE_CHECKING:
    from pansight.data.opening import PanopticDataset
    from pansight.datatools.preparing.plan import TruthSource

_FORMS = ("panoptic", "cityscapes", "semantic", "instances")


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="A COCO instances JSON or a folder that holds one, or a folder of labelme files; for other "
            "forms than panoptic, any data set that can be opened, such as a COCO panoptic JSON.",
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
        typer.Option(help="Classes that are countable: 'car, person', or a file of names."),
    ] = None,
    stuff: Annotated[
        str | None,
        typer.Option(help="Classes that are not: 'road, sky', or a file of names."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="All classes of labelme files in order, one in each line (labelme's labels.txt)."),
    ] = None,
    categories: Annotated[
        str | None,
        typer.Option(help="The classes to speak in: a JSON, or coco, cityscapes, ade20k, mapillary."),
    ] = None,
    class_map: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE.yaml",
            help="Of a panoptic data set: lines `new category: its category`, a list of several, or null; "
            "what no line names becomes void.",
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
            help="COCO instances: objects are single ones, whatever iscrowd says (CVAT: 1 for any mask).",
        ),
    ] = False,
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
    all objects hide stuff; of labelme's shapes, the later one is on top. Objects that have no pixels, lie
    largely outside of their image or are all crowds are counted and named.

    Classes of COCO instances are things but for those with isthing 0 in the file or in --categories, or named
    by --stuff.

    Exit code: 0 all went well, 1 some pictures failed or no object has a pixel, 2 nothing could be done.
    """
    share_cores()
    from pansight.datatools.preparing.classes import read_names
    from pansight.datatools.preparing.exporting import Export, Form
    from pansight.datatools.preparing.plan import plan_panoptic
    from pansight.datatools.preparing.workers import default_workers
    from pansight.datatools.preparing.writing import Preparation
    from pansight.runtime.inputs import printable

    if to not in _FORMS:
        raise InputError(f"--to {to} is no form; use {', '.join(_FORMS[:-1])} or {_FORMS[-1]}")
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; check the path")
    count = workers or default_workers()
    if class_map is not None:
        _refuse("--map", with_stuff=with_stuff, things=things, stuff=stuff, labels=labels)
        _refuse("--map", boxes_as_masks=boxes_as_masks or None, no_crowds=no_crowds or None)
        given_data = open_from_options(str(source), kind, split, None, panoptic, None)
        opened = _mapped(given_data, class_map, categories)
        if to != "panoptic":
            run_conversion(Export(opened, output, Form(to), count), "converting", "converted")
            return
        plan = plan_panoptic(opened, output, name or f"panoptic_{split or 'mapped'}")
        run_conversion(Preparation(opened, plan, count), "converting", "converted")
        return
    if to != "panoptic":
        _refuse(to, with_stuff=with_stuff, things=things, stuff=stuff, labels=labels, name=name)
        _refuse(to, boxes_as_masks=boxes_as_masks or None, no_crowds=no_crowds or None)
        opened = open_from_options(str(source), kind, split, None, panoptic, categories)
        run_conversion(Export(opened, output, Form(to), count), "converting", "converted")
        return
    file = _instances_file(source, split)
    if file is None:
        _refuse("labelme files", boxes_as_masks=boxes_as_masks or None, no_crowds=no_crowds or None)
        _refuse("labelme files", with_stuff=with_stuff, kind=kind, split=split, panoptic=panoptic)
        table = output / f"{name or 'panoptic'}.json"
        made = _polygons(source, categories, things, stuff, labels, table)
    else:
        _refuse("COCO instances", labels=labels, kind=kind, panoptic=panoptic)
        if categories is not None:
            _refuse("COCO instances with --categories, which say it", things=things, stuff=stuff)
        given = {
            "things": None if things is None else read_names(things),
            "stuff_names": None if stuff is None else read_names(stuff),
            "boxes": boxes_as_masks,
            "crowds": not no_crowds,
        }
        made = _instances(file, with_stuff, stuff_offset, categories, given)
    plan = plan_panoptic(made, output, name or _panoptic_name(file or source))
    run_conversion(Preparation(made, plan, count), "converting", "converted")
    elsewhere = getattr(made, "pictures_elsewhere", None)
    if elsewhere is not None:
        print(f"the pictures lie in {printable(elsewhere)}: name it with --images")


def _mapped(dataset: "PanopticDataset", file: Path, categories: str | None) -> "PanopticDataset":
    """The data set in the categories of a class map, or in those named, with a remark on what was ignored."""
    from pansight.cli.datasets import as_categories
    from pansight.data.class_maps import categories_of, correspond, read_class_map
    from pansight.data.relabelled import Relabelled

    mapping = read_class_map(file)
    wanted = categories_of(mapping, dataset.categories) if categories is None else as_categories(categories)
    found = correspond(mapping, wanted, dataset.categories)
    strange = [s for sources in mapping.values() for s in sources if s not in dataset.categories.names]
    if strange:
        print(f"remark: the class map names {', '.join(strange)}, which the data does not have; ignored")
    return Relabelled(dataset, found.places, wanted)


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


def _instances(
    source: Path, with_stuff: Path | None, offset: int, categories: str | None, given: dict[str, Any]
) -> "TruthSource":
    from pansight.datatools.preparing.classes import load_categories, map_values
    from pansight.datatools.preparing.coco_merge import CocoMerge
    from pansight.formats.coco_files import read_json

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


def _refuse(what: str, **options: object) -> None:
    for option, value in options.items():
        if value is not None:
            raise InputError(f"--{option.replace('_', '-')} means nothing for {what}; leave it out")

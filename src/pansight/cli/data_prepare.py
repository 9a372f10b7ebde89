"""`pansight data prepare`: a raw data set to COCO panoptic files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pansight.cli.converting import WorkersOption, run_conversion
from pansight.cli.datasets import (
    CategoriesOption,
    DatasetArgument,
    ImagesOption,
    KindOption,
    PanopticOption,
    SplitOption,
    open_from_options,
)
from pansight.cli.threads import share_cores
from pansight.errors import InputError

if TYPE_CHECKING:
    from pansight.data.opening import PanopticDataset


def prepare(
    location: DatasetArgument,
    output: Annotated[Path, typer.Argument(help="Folder to write to.", show_default=False)],
    kind: KindOption = None,
    split: SplitOption = None,
    images: ImagesOption = None,
    panoptic: PanopticOption = None,
    categories: CategoriesOption = None,
    train_ids: Annotated[
        bool, typer.Option("--train-ids", help="Cityscapes: category ids are trainIds, not labelIds.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the JSON, without its ending; the usual one if not given."),
    ] = None,
    workers: WorkersOption = None,
) -> None:
    """Write a data set as COCO panoptic: OUTPUT/NAME.json, and a PNG of ids for each image in OUTPUT/NAME.

    Cityscapes gives the files of its official converter. What an earlier run has finished is checked, and
    kept where it is right. A file that cannot be used is reported with the reason, and the rest continues.

    Exit code: 0 all went well, 1 some images failed, 2 nothing could be done.
    """
    share_cores()
    data = open_from_options(location, kind, split, images, panoptic, categories)
    from pansight.categories import Categories
    from pansight.datatools.preparing.plan import plan_cityscapes, plan_panoptic
    from pansight.datatools.preparing.workers import default_workers
    from pansight.datatools.preparing.writing import Preparation

    part = _split_of(data) or split or Path(location).stem
    named = all(isinstance(id, str) for id in data.image_ids)
    if named and data.categories.names == Categories.builtin("cityscapes").names:
        plan = plan_cityscapes(data, output, part, train_ids=train_ids, name=name)
    elif train_ids:
        raise InputError("--train-ids is only for Cityscapes; leave it out")
    else:
        plan = plan_panoptic(data, output, name or f"panoptic_{part}")
    run_conversion(Preparation(data, plan, workers or default_workers()), "preparing", "prepared")


def _split_of(data: "PanopticDataset") -> str:
    """The data set's own name of the split that was opened, as its JSON or its folder says it; or nothing."""
    table, folder = getattr(data, "annotations", None), getattr(data, "where", None)
    if isinstance(table, Path):
        return table.stem.rpartition("panoptic_")[2].removesuffix("_trainId")
    parts = folder.parts[-3:] if isinstance(folder, Path) else ()
    return next((part for part in reversed(parts) if part.startswith(("train", "val", "test"))), "")

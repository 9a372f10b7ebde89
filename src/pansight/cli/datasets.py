"""The options that name a data set, the same for every verb that opens one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pansight.categories import Categories
    from pansight.data.opening import PanopticDataset

DatasetArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A COCO panoptic JSON, the folder of a data set, 'scenes' (synthetic) or 'scene-clips'.",
        show_default=False,
    ),
]

KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        help="coco, cityscapes, cityscapes-panoptic, ade20k, ade20k-blobs, mapillary, "
        "mapillary-v1.2, mapillary-v2.0, cityscapes-vps, vipseg, kitti-step, predictions, video (a JSON); "
        "detected if not given.",
        show_default=False,
    ),
]

SplitOption = Annotated[
    str | None,
    typer.Option("--split", help="train, val ...; val if there are several.", show_default=False),
]

ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", help="Folder or .zip of the images, if elsewhere.", show_default=False),
]

PanopticOption = Annotated[
    Path | None,
    typer.Option("--panoptic", help="Folder or .zip of the panoptic PNGs, if elsewhere.", show_default=False),
]

CategoriesOption = Annotated[
    str | None,
    typer.Option(
        "--categories",
        metavar="NAME_OR_JSON",
        help="Category set to use, matched by name: coco, cityscapes, ade20k, mapillary, scenes or a JSON.",
        show_default=False,
    ),
]


def open_from_options(
    location: str,
    kind: str | None = None,
    split: str | None = None,
    images: Path | None = None,
    panoptic: Path | None = None,
    categories: str | None = None,
) -> "PanopticDataset":
    """The data set that these options name.

    Raises DataError when it cannot be opened, CategoryError when `categories` names no set.
    """
    from pansight.data.opening import open_dataset

    wanted = None if categories is None else as_categories(categories)
    return open_dataset(location, kind=kind, split=split, images=images, panoptic=panoptic, categories=wanted)


def as_categories(text: str) -> "Categories":
    """The set that --categories names. Raises CategoryError when there is none."""
    from pansight.categories import read_categories

    return read_categories(text)

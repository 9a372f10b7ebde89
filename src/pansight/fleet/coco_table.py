"""predictions.json of a labelled archive: the COCO panoptic format, where one machine can read it."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from pansight.categories import Categories
from pansight.fleet.index import Row, read_index
from pansight.fleet.masks import FOLDER
from pansight.fleet.storage import Store
from pansight.runtime.inputs import image_ids, relative_names
from pansight.version import __version__

TABLE = "predictions.json"


def write_coco_table(store: Store, categories: Categories, model: str) -> int:
    """Write the table for all maps that are files, in the order of the plan; returns how many.

    File names and image ids are those of `pansight predict` on one machine: paths below the folder that all
    inputs share; the numbers that names are, where all are different numbers, else 1, 2, 3 ...
    The driver holds the names of all inputs, and the text once.
    """
    names = [_as_path(row.input) for row in _maps(store)]
    info = {"description": f"predictions of {model}", "version": f"pansight {__version__}"}
    with TemporaryFile("w+", encoding="ascii") as file:
        file.write(f'{{"info": {json.dumps(info)}, "images": [')
        _write_rows(
            file.write,
            (
                {"id": id, "file_name": name, "width": row.width, "height": row.height}
                for row, id, name in zip(_maps(store), image_ids(names), relative_names(names), strict=True)
            ),
        )
        file.write('], "annotations": [')
        _write_rows(
            file.write,
            (
                {
                    "image_id": id,
                    "file_name": row.mask.removeprefix(f"{FOLDER}/"),
                    "segments_info": row.segments,
                }
                for row, id in zip(_maps(store), image_ids(names), strict=True)
            ),
        )
        file.write(f'], "categories": {json.dumps(categories.to_json())}}}')
        file.seek(0)
        store.put(TABLE, file.read().encode("ascii"))
    return len(names)


def _maps(store: Store) -> Iterator[Row]:
    return (row for row in read_index(store) if not row.failed)


def _as_path(input: str) -> Path:
    """A path that has the folders of an address, whatever it is: s3://b/a.tar::x.jpg is s3/b/a.tar/x.jpg."""
    return Path(input.replace("://", "/").replace("::", "/"))


def _write_rows(write: Callable[[str], object], rows: Iterable[dict[str, Any]]) -> None:
    for number, row in enumerate(rows):
        write(", " if number else "")
        write(json.dumps(row))

"""Mapillary Vistas: images of instances as published, whose classes a config file lists.

Images of instances have 16 bits: 256 * class + number of the object, where the class is the place in the
config's list. Stuff may have any number and is one segment a class. Classes that are not evaluated (in v1.2
one of 66, Unlabeled) are void.

`SPLIT/images`, `SPLIT/v1.2/instances`, `SPLIT/v2.0/instances` and the same with `panoptic`, where a panoptic
JSON lies among its panoptic PNGs; in v1.1 without the folder of the version. SPLIT is training, validation or
testing.

Source: the README and the demo script that come with the data set, https://www.mapillary.com/dataset/vistas.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

from pansight.categories import Categories
from pansight.data.class_names import match_categories
from pansight.data.folders import open_folder
from pansight.data.label_files import Entry, LabelFiles, Row, decode_gray
from pansight.errors import CategoryError, DataError, InputError

PathLike = str | os.PathLike[str]


class MapillaryClasses(NamedTuple):
    """The evaluated classes of a release, and the index in them of each label of the config, -1 for void."""

    categories: Categories
    places: tuple[int, ...]


class Mapillary(LabelFiles):
    """A split from its images of instances.

    The id of a thing is its value + 1, that of stuff 256 * class + 1.
    """

    def __init__(
        self,
        instances: PathLike,
        images: PathLike | None,
        classes: MapillaryClasses,
        categories: Categories | None = None,
    ) -> None:
        """Open the images in `instances` with those in `images`; archives will do.

        `categories`: the set to use, in which the evaluated classes are found by name. Raises DataError
        when there are no labels, or classes do not fit.
        """
        where = Path(instances)
        folder = open_folder(instances)
        entries = [
            Entry(Path(name).stem, (f"{Path(name).stem}.jpg",), name) for name in folder.listing(".png")
        ]
        pictures = open_folder(images) if images is not None else None
        super().__init__(where, folder, pictures, entries, categories or classes.categories)
        places = match_categories(classes.categories, self.categories, where)
        is_thing = classes.categories.is_thing
        self._places = np.array([-1 if own < 0 else places[own] for own in classes.places], np.int64)
        self._things = np.array([own >= 0 and bool(is_thing[own]) for own in classes.places])

    def decode(self, content: bytes, entry: Entry) -> tuple[Int32[np.ndarray, "h w"], Iterable[Row]]:
        values = decode_gray(content)
        present = np.flatnonzero(np.bincount(values.ravel()))
        labels = present // 256
        if len(labels) and labels.max() >= len(self._places):
            raise InputError(
                f"value {int(present[-1])} is of class {int(labels.max())}, and the config lists 0.."
                f"{len(self._places) - 1}; take the config of this version"
            )
        ids = np.where(self._things[labels], present + 1, labels * 256 + 1)
        kept = self._places[labels] >= 0
        lookup = np.zeros(int(present.max(initial=0)) + 1, np.int32)
        lookup[present[kept]] = ids[kept]
        found, first = np.unique(ids[kept], return_index=True)
        categories = self._places[labels[kept][first]]
        table: list[Row] = [
            (id, category, None, False)
            for id, category in zip(found.tolist(), categories.tolist(), strict=True)
        ]
        return lookup[values], table


def read_classes(config: Path | None, version: str) -> MapillaryClasses:
    """The classes of a config file; without one, those of v1.2, which are built in.

    Data-set ids are the place in the list + 1, as in the official panoptic files. Raises DataError when the
    file cannot be read, or is missing for another version than v1.2.
    """
    if config is None:
        if version != "v1.2":
            raise DataError(
                f"the classes of Mapillary Vistas {version} are listed in config_{version}.json; "
                "put it next to the folders of the splits"
            )
        own = Categories.builtin("mapillary")
        return MapillaryClasses(own, (*range(len(own)), -1))
    try:
        labels = json.loads(config.read_bytes())["labels"]
        rows = [_row(number, label) for number, label in enumerate(labels, start=1)]
        evaluated = [bool(label["evaluate"]) for label in labels]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{config}: not a list of labels in Mapillary Vistas's form ({error!r}); fetch it again"
        ) from error
    kept = [row for row, counts in zip(rows, evaluated, strict=True) if counts]
    name = "mapillary" if version == "v1.2" else f"mapillary-{version}"
    try:
        if len({row["name"] for row in kept}) < len(kept):
            kept = [{**row, "name": row["path"]} for row in kept]
        categories = Categories.from_json(kept, name=name)
    except CategoryError as error:
        raise DataError(f"{config}: {error}") from error
    places = np.cumsum(evaluated) - 1
    return MapillaryClasses(categories, tuple(np.where(evaluated, places, -1).tolist()))


def _row(number: int, label: dict[str, Any]) -> dict[str, Any]:
    path = str(label["name"])
    return {
        "id": number,
        "name": str(label["readable"]),
        "isthing": int(label["instances"]),
        "color": label.get("color"),
        "supercategory": path.rpartition("--")[0],
        "path": path,
    }

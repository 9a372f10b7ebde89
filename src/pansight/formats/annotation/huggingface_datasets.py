"""Hugging Face `datasets` themselves, with the extra `datasets`: maps to a Dataset, and saved ones to maps.

There is no panoptic feature; the usual columns are an image, an RGB PNG of ids and `segments_info`, which are
exact through Arrow and Parquet. See `huggingface` for the folder that needs no package.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.files import require_extra
from pansight.formats.annotation.door import AnnotationReader, ClassRow
from pansight.formats.annotation.huggingface import from_example, to_example
from pansight.formats.annotation.id_maps import objects_in
from pansight.formats.annotation.objects import AnnotatedImage
from pansight.formats.coco_files import is_crowd_flag
from pansight.panoptic import PanopticMap

_SPLITS, _SAVED = "dataset_dict.json", "state.json"


def features(*, image: bool = True) -> Any:
    """`datasets.Features` of the columns: image (if wanted), file_name, label, segments_info.

    Raises MissingExtraError without the extra `datasets`.
    """
    datasets = require_extra("datasets", "datasets")
    value = datasets.Value
    segment = {
        "id": value("int64"),
        "category_id": value("int64"),
        "iscrowd": value("int8"),
        "area": value("int64"),
        "bbox": datasets.List(value("int64"), length=4),
        "score": value("float64"),
    }
    columns = {"image": datasets.Image()} if image else {}
    return datasets.Features(
        {
            **columns,
            "file_name": value("string"),
            "label": datasets.Image(),
            "segments_info": datasets.List(segment),
        }
    )


def to_dataset(maps: Iterable[PanopticMap], images: Iterable[Any] = (), names: Iterable[str] = ()) -> Any:
    """A `datasets.Dataset` of maps, with their images (Pillow or arrays) and file names where given.

        dataset = to_dataset(maps, images)
        dataset.save_to_disk("labels")  # or to_parquet, push_to_hub

    Raises MissingExtraError without the extra `datasets`.
    """
    datasets = require_extra("datasets", "datasets")
    pictures, called = list(images), list(names)
    rows = []
    for number, panoptic in enumerate(maps):
        row = to_example(panoptic, pictures[number] if pictures else None)
        for segment in row["segments_info"]:
            segment.setdefault("score", None)
        rows.append({**row, "file_name": called[number] if called else f"{number:06d}.jpg"})
    columns = features(image=bool(pictures))
    dataset = datasets.Dataset.from_list(rows, features=columns)
    return dataset.select_columns(list(columns))


def from_dataset(dataset: Any, categories: Categories) -> Iterator[PanopticMap]:
    """The map of each row of a Dataset with columns label and segments_info; see `from_example`."""
    for row in dataset.select_columns(["label", "segments_info"]):
        yield from_example(row, categories)


def is_saved(path: Path) -> bool:
    """Whether a folder of `save_to_disk`, a Parquet file, or a folder of those is there."""
    if path.is_file():
        return path.suffix == ".parquet"
    if not path.is_dir():
        return False
    saved = (path / _SPLITS).is_file() or (path / _SAVED).is_file()
    return saved or next(path.glob("*.parquet"), None) is not None


class SavedReader(AnnotationReader):
    """What `save_to_disk` or `to_parquet` wrote; classes.json next to it names the classes."""

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """Raises DataError without classes.json, or columns label and segments_info, MissingExtraError."""
        datasets = require_extra("datasets", "datasets")
        self.where = path
        own = (path if path.is_dir() else path.parent) / "classes.json"
        if not own.is_file():
            raise DataError(f"{path}: category ids have no names; put a classes.json into its folder")
        known = Categories.from_file(own)
        self.classes = [ClassRow(c.name, c.is_thing, c.dataset_id, c.color) for c in known]
        self._labels = {c.dataset_id: c.name for c in known}
        parts = _opened(datasets, path)
        self._data = parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)
        missing = {"label", "segments_info"} - set(self._data.column_names)
        if missing:
            raise DataError(
                f"{path}: no column {' or '.join(sorted(missing))} in it; it has "
                f"{', '.join(self._data.column_names)}; rename the columns"
            )
        count = len(self._data)
        named = "file_name" in self._data.column_names
        self.names = list(self._data["file_name"]) if named else [f"{n:06d}.jpg" for n in range(count)]
        ids = list(self._data["image_id"]) if "image_id" in self._data.column_names else []
        self.image_ids = ids if len(set(ids)) == count else list(range(1, count + 1))

    def read(self, index: int) -> AnnotatedImage:
        row = self._data.select_columns(["label", "segments_info"])[index]
        info = row["segments_info"]
        rows = info if isinstance(info, list) else [dict(zip(info, one)) for one in zip(*info.values())]  # noqa: B905
        pixels = np.asarray(row["label"])
        if pixels.ndim == 3:
            colors = pixels.astype(np.int32)
            pixels = colors[..., 0] | colors[..., 1] << 8 | colors[..., 2] << 16
        found = []
        for one in rows:
            label = self._labels.get(int(one["category_id"]))
            if label is None:
                raise DataError(
                    f"{self.where}: {self.names[index]} has category_id {one['category_id']}, which "
                    "classes.json does not list; add it"
                )
            found.append((int(one["id"]), label, is_crowd_flag(one.get("iscrowd")), one.get("score")))
        return objects_in(pixels.astype(np.int32), found, self.names[index])


def _opened(datasets: Any, path: Path) -> list[Any]:
    """All splits or files, each a Dataset."""
    try:
        if path.is_dir() and ((path / _SPLITS).is_file() or (path / _SAVED).is_file()):
            found = datasets.load_from_disk(str(path))
            return list(found.values()) if isinstance(found, datasets.DatasetDict) else [found]
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        return [
            datasets.Dataset.from_parquet([str(file) for file in files], cache_dir=None, keep_in_memory=True)
        ]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: cannot be read ({error}); save it again") from error

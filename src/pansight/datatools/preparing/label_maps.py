"""Maps of labels, one number per pixel, as a source of stuff: COCO's pixelmaps, stuffthingmaps and the
like."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int64, Shaped
from PIL import Image

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.formats.coco_files import BROKEN_PICTURE
from pansight.panoptic import PanopticMap

_UNLABELLED = 255
"""What maps of labels hold where nothing is known."""

_COCO_OTHER = 183
"""Category of COCO's pixelmaps where a thing stands."""


@dataclass(frozen=True)
class LabelMaps:
    """A folder of PNG files, gray or palette, 8 or 16 bits, named like the images with the ending .png.

    A map lies where its image would, or directly in the folder.
    A pixel's value is a category id less `offset`. Void is 0 where there is no offset, 255, COCO's "other",
    and every thing: those of `categories`, and the ids `things`. Or `values` says which contiguous category
    each value is; then 255, or in maps of 16 bits 65535, is void if it does not say otherwise.
    """

    folder: Path
    categories: Categories
    things: frozenset[int]
    offset: int = 0
    values: Mapping[int, int] | None = None

    def read(self, picture: str, height: int, width: int) -> PanopticMap:
        """The stuff of an image, every category one segment, its id 1 + the contiguous index.

        Raises DataError when the map is missing, broken, of another size, or holds other values.
        """
        path = self._path(picture)
        values = _read_values(path)
        if values.shape != (height, width):
            raise DataError(
                f"{path}: the map is {values.shape[1]} x {values.shape[0]} pixels, its image {width} x "
                f"{height}; take the map of this image"
            )
        table: list[tuple[int, int]] = []
        unknown = []
        lookup = np.zeros(int(values.max(initial=0)) + 1, dtype=np.int32)
        for value in np.flatnonzero(np.bincount(values.ravel())).tolist():
            category = self._category(value)
            if category is not None and not self.categories[category].is_thing:
                lookup[value] = category + 1
                table.append((category + 1, category))
            elif category is None and not self._is_void(value):
                unknown.append(value)
        if unknown:
            more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
            raise DataError(
                f"{path}: the values {', '.join(map(str, unknown[:8]))}{more} are not categories of "
                f"{self.categories.name}; give the categories, or the offset, that the maps were made with"
            )
        return PanopticMap.from_table(lookup[values], table, self.categories)

    def _path(self, picture: str) -> Path:
        """Where the map of an image lies: with its folders, under its name alone, or with both endings."""
        named = Path(PurePosixPath(picture.replace("\\", "/")))
        places = [named.with_suffix(".png"), Path(f"{named}.png"), Path(named.with_suffix(".png").name)]
        usable = [self.folder / place for place in places if not place.is_absolute()]
        return next((path for path in usable if path.is_file()), self.folder / places[-1])

    def _category(self, value: int) -> int | None:
        if self.values is not None:
            return self.values.get(value)
        return self.categories.dataset_index.get(value + self.offset)

    def _is_void(self, value: int) -> bool:
        if self.values is not None:
            return value in (_UNLABELLED, 65535)
        label = value + self.offset
        return value == _UNLABELLED or label in (0, _COCO_OTHER) or label in self.things


def _read_values(path: Path) -> Int64[np.ndarray, "h w"]:
    try:
        with Image.open(path) as picture:
            values: Shaped[np.ndarray, "..."] = np.asarray(picture)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; every image needs its label map") from error
    except BROKEN_PICTURE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path}: cannot be read ({reason}); replace the file") from error
    if values.ndim != 2 or values.dtype == np.bool_ or int(values.min(initial=0)) < 0:
        raise DataError(f"{path}: no map of labels; it must be gray or palette, of 8 or 16 bits")
    return values.astype(np.int64)

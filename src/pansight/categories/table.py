"""What pixels can be: names, things and stuff, colours, and data-set ids <-> contiguous indices.

Models, metrics and maps number a category by its contiguous index 0..N-1, its position in a `Categories`.
Files number it by the data set's own id. Only this module converts between the two.
"""

import difflib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from pansight.categories.colors import distinct_colors
from pansight.errors import CategoryError

BUILTIN = ("coco", "cityscapes", "ade20k", "mapillary", "scenes")
"""Names that `Categories.builtin` knows."""

_ID_LIMIT = 1 << 63
"""Data-set ids are kept as int64."""


@dataclass(frozen=True, slots=True)
class Category:
    """One class of things (countable) or stuff (not countable).

    `dataset_id` is the number that the data set's files use; `color` is RGB, 0..255.

        >>> Category("car", True, 26, (0, 0, 142)).is_thing
        True
    """

    name: str
    is_thing: bool
    dataset_id: int
    color: tuple[int, int, int]
    supercategory: str = ""


class Categories(Sequence[Category]):
    """An immutable, ordered set of categories; the contiguous index of a category is its position.

    Names and data-set ids are unique. Two sets are equal when their categories are, regardless of their
    names. The arrays are read-only and computed once.

        >>> coco = Categories.builtin("coco")
        >>> len(coco), coco[0].name, len(coco.thing_indices)
        (133, 'person', 80)
    """

    def __init__(self, items: Iterable[Category], name: str = "custom") -> None:
        """Raises CategoryError when a name is empty, or a name or data-set id occurs twice."""
        self._items = tuple(items)
        self._name = name
        for kind, values in (
            ("name", [item.name for item in self._items]),
            ("id", [item.dataset_id for item in self._items]),
        ):
            doubled = _first_repeated(values)
            if doubled is not None:
                raise CategoryError(f"category {kind} {doubled!r} occurs twice in {name}; make it unique")
        for item in self._items:
            if not item.name:
                raise CategoryError(f"category with id {item.dataset_id} in {name} has no name; give it one")
            if not -_ID_LIMIT <= item.dataset_id < _ID_LIMIT:
                raise CategoryError(
                    f"id of category {item.name!r} in {name} is too large; use one below 2**63"
                )
            if len(item.color) != 3 or not all(0 <= channel <= 255 for channel in item.color):
                raise CategoryError(
                    f"color {item.color} of category {item.name!r} is not an RGB triple; use values 0..255"
                )

    @classmethod
    def builtin(cls, name: str) -> "Categories":
        """The set that ships as coco (133), cityscapes (19), ade20k (150), mapillary (65) or scenes.

        Raises CategoryError for other names.
        """
        if name not in BUILTIN:
            raise CategoryError(f"no built-in category set {name!r}; choose from {', '.join(BUILTIN)}")
        return _load_builtin(name)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "Categories":
        """Read the categories of a COCO-panoptic JSON file, or of a file that holds their bare list.

        The set is named after the file. Raises CategoryError, naming the file, when it cannot be used.
        """
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CategoryError(f"cannot read {path}: {error.strerror or error}; check the path") from error
        except (ValueError, RecursionError) as error:
            raise CategoryError(f"{path} is not a JSON file ({error}); give a COCO-panoptic JSON") from error
        rows = content.get("categories") if isinstance(content, dict) else content
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise CategoryError(f'{path} has no list of "categories"; give a COCO-panoptic JSON')
        try:
            return cls.from_json(rows, name=path.stem)
        except CategoryError as error:
            raise CategoryError(f"{path}: {error}") from error

    @classmethod
    def from_json(cls, rows: list[dict[str, Any]], name: str = "custom") -> "Categories":
        """Build from COCO-panoptic "categories": id, name, isthing, optionally color and supercategory.

        Categories without a colour get distinct generated ones. Raises CategoryError when a key is missing
        or wrong.
        """
        parsed = [_parsed(row, f"category {position} of {name}") for position, row in enumerate(rows)]
        given = [color for _, color in parsed if color is not None]
        fresh = iter(distinct_colors(len(parsed) - len(given), avoid=given))
        items = [Category(color=next(fresh) if color is None else color, **rest) for rest, color in parsed]
        return cls(items, name=name)

    def to_json(self) -> list[dict[str, Any]]:
        """The categories in COCO-panoptic JSON form, in order."""
        return [
            {
                "id": item.dataset_id,
                "name": item.name,
                "isthing": int(item.is_thing),
                "color": list(item.color),
                "supercategory": item.supercategory,
            }
            for item in self._items
        ]

    @property
    def name(self) -> str:
        """The name of the set, for messages and files."""
        return self._name

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names by contiguous index."""
        return tuple(item.name for item in self._items)

    @cached_property
    def is_thing(self) -> Bool[np.ndarray, "n"]:
        """True where the category is a thing."""
        return _frozen(np.array([item.is_thing for item in self._items], dtype=np.bool_))

    @cached_property
    def colors(self) -> UInt8[np.ndarray, "n 3"]:
        """RGB, 0..255, by contiguous index."""
        return _frozen(np.array([item.color for item in self._items], dtype=np.uint8).reshape(-1, 3))

    @cached_property
    def dataset_ids(self) -> Int64[np.ndarray, "n"]:
        """Data-set ids by contiguous index."""
        return _frozen(np.array([item.dataset_id for item in self._items], dtype=np.int64))

    @cached_property
    def thing_indices(self) -> Int64[np.ndarray, "things"]:
        """Contiguous indices of the things, ascending."""
        return _frozen(np.flatnonzero(self.is_thing).astype(np.int64))

    @cached_property
    def stuff_indices(self) -> Int64[np.ndarray, "stuff"]:
        """Contiguous indices of the stuff, ascending."""
        return _frozen(np.flatnonzero(~self.is_thing).astype(np.int64))

    @cached_property
    def dataset_index(self) -> Mapping[int, int]:
        """Data-set id -> contiguous index."""
        return MappingProxyType({item.dataset_id: index for index, item in enumerate(self._items)})

    @cached_property
    def _name_index(self) -> dict[str, int]:
        return {item.name: index for index, item in enumerate(self._items)}

    def from_dataset_id(self, dataset_id: int) -> int:
        """The contiguous index of a data-set id. Raises CategoryError when the set does not have it."""
        try:
            return self.dataset_index[dataset_id]
        except KeyError:
            raise CategoryError(
                f"category id {dataset_id} is not in {self._name} ({len(self)} categories); "
                "use the category set that the annotation was made with"
            ) from None

    # `Sequence.index` looks for an item; here the key that people have in hand is the name.
    def index(self, name: str) -> int:  # type: ignore[override]
        """The contiguous index of the category called `name`.

        Raises CategoryError, naming the nearest known name, when there is none.
        """
        try:
            return self._name_index[name]
        except KeyError:
            near = difflib.get_close_matches(name, self.names, n=1, cutoff=0.0)
            hint = f"did you mean {near[0]!r}?" if near else "the set is empty"
            raise CategoryError(f"no category {name!r} in {self._name}; {hint}") from None

    @overload
    def __getitem__(self, index: int) -> Category: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Category, ...]: ...
    def __getitem__(self, index: int | slice) -> Category | tuple[Category, ...]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Category]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, Categories) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        things = len(self.thing_indices)
        return f"Categories({self._name!r}: {things} things, {len(self) - things} stuff)"

    def __reduce__(self) -> tuple[type["Categories"], tuple[tuple[Category, ...], str]]:
        # The cached read-only mapping cannot be pickled, and data-loader workers need the set.
        return Categories, (self._items, self._name)


def read_categories(name_or_file: str) -> Categories:
    """The built-in set of that name, else the categories in a JSON. Raises CategoryError when it is neither.

    >>> len(read_categories("cityscapes"))
    19
    """
    if name_or_file in BUILTIN:
        return Categories.builtin(name_or_file)
    if not Path(name_or_file).exists():
        raise CategoryError(
            f"{name_or_file} is neither a built-in category set ({', '.join(BUILTIN)}) nor a file; "
            "check the name"
        )
    return Categories.from_file(name_or_file)


def _parsed(row: Mapping[str, Any], where: str) -> tuple[dict[str, Any], tuple[int, int, int] | None]:
    """A row of COCO-panoptic "categories" as arguments of Category, and its colour if it has one."""
    try:
        rest = {
            "name": str(row["name"]).strip(),
            "is_thing": read_flag(row["isthing"]),
            "dataset_id": int(row["id"]),
            "supercategory": str(row.get("supercategory") or ""),
        }
        return rest, _as_color(row["color"]) if row.get("color") else None
    except KeyError as error:
        raise CategoryError(f"{where} lacks {error}; give each category id, name and isthing") from error
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise CategoryError(f"{where} is malformed ({error}); correct it") from error


def read_flag(value: Any) -> bool:
    """What `isthing` says. Raises ValueError, naming the value, for anything but 0, 1, true, false."""
    if isinstance(value, bool | int | float | str) and value in (0, 1, "0", "1"):
        return value in (1, "1")
    shown = "null" if value is None else repr(value)
    raise ValueError(f"isthing is {shown:.40}, which is neither 1 (a thing, countable) nor 0 (stuff)")


def _as_color(value: Any) -> tuple[int, int, int]:
    red, green, blue = (int(channel) for channel in value)
    if not all(0 <= channel <= 255 for channel in (red, green, blue)):
        raise ValueError(f"color {[red, green, blue]} is not an RGB triple of 0..255")
    return red, green, blue


def _first_repeated(values: Sequence[Any]) -> Any:
    seen = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


@cache
def _load_builtin(name: str) -> Categories:
    file = resources.files("pansight").joinpath("assets", "categories", f"{name}.json")
    return Categories.from_json(json.loads(file.read_text(encoding="utf-8")), name=name)

"""The target classes of a conversion: from a JSON, a built-in set, or lists of names."""

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from pansight.categories import BUILTIN, Categories, read_categories
from pansight.errors import InputError

PathLike = str | os.PathLike[str]


def load_categories(name_or_file: PathLike, things: Collection[str] = ()) -> Categories:
    """A built-in set, or the categories of a COCO JSON.

    Categories that do not say whether they are things (COCO's own instances and stuff files do not) are
    things when `things` has their name. Raises CategoryError when there are none to be read.
    """
    if not things or os.fspath(name_or_file) in BUILTIN:
        return read_categories(os.fspath(name_or_file))
    path = Path(name_or_file)
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return read_categories(os.fspath(path))  # which says what is wrong
    rows = content.get("categories") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return Categories.from_file(path)
    completed = [{"isthing": int(row.get("name") in things), **row} for row in rows]
    return Categories.from_json(completed, name=path.stem)


def map_values(file: PathLike, categories: Categories) -> dict[int, int] | None:
    """Which contiguous category each number in label maps is, where a JSON of classes says so by `value`.

    None where it does not: then the numbers are data-set ids. Raises InputError when only some say it, or two
    the same.
    """
    try:
        content = json.loads(Path(file).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    rows = content.get("categories") if isinstance(content, dict) else content
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    said = [row for row in rows if isinstance(row.get("value"), int)]
    if not said:
        return None
    values = {row["value"]: categories.index(str(row.get("name")).strip()) for row in said}
    if len(said) != len(rows) or len(values) != len(rows):
        raise InputError(f"{file}: every class needs a `value` of its own, or none has one; correct it")
    return values


def named_categories(
    things: Sequence[str] | None, stuff: Sequence[str] | None, labels: Sequence[str]
) -> Categories:
    """Categories numbered from 1: things, then stuff. One may be left out: it is the rest of `labels`.

    Raises InputError when both are left out or a name is in both.
    """
    if things is None and stuff is None and not labels:
        raise InputError("no shape in these files has a label; name the classes with --things and --stuff")
    if things is None and stuff is None:
        raise InputError(
            f"which of the classes {', '.join(labels[:8])}{' ...' if len(labels) > 8 else ''} are things "
            "(countable)? name them with --things, or the others with --stuff"
        )
    counted = list(things) if things is not None else [name for name in labels if name not in (stuff or ())]
    rest = list(stuff) if stuff is not None else [name for name in labels if name not in counted]
    both = sorted(set(counted) & set(rest))
    if both:
        raise InputError(f"{both[0]!r} is named among the things and among the stuff; choose one")
    rows = [
        {"id": position, "name": name, "isthing": int(position <= len(counted))}
        for position, name in enumerate([*counted, *rest], start=1)
    ]
    return Categories.from_json(rows, name="labels")


def read_names(text: str) -> list[str]:
    """Names from "a, b, c", or from a file with one in each line, such as labelme's labels.txt."""
    path = Path(text)
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else text.split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of names ({error}); save it as UTF-8") from error
    return list(dict.fromkeys(name.strip() for name in lines if name.strip()))

"""Finding the classes of a data set in another set of categories, by name.

Numbers do not do: each data set, and often each file of it, has its own. Names come in several spellings,
which are tried from the strictest to the loosest, and a name that fits several categories fits none:

1. as it is;
2. without regard to case, spaces and punctuation, but for + # < > = %: `Traffic_Light` is traffic light;
3. the first of the words that a comma divides, as ADE20K lists them: `building, edifice` is building;
4. any of these words, and other words for the same: `windowpane` is window, `motorbike` is motorcycle;
5. the last part of a path, as Mapillary writes: `construction--flat--road` is road;
6. without the endings of COCO's stuff, -merged, -other and -stuff: `wall-other-merged` is wall.
"""

import difflib
import json
import re
from collections.abc import Callable
from functools import cache
from importlib import resources

from pansight.categories import Categories
from pansight.errors import DataProblemsError

_ENDINGS = re.compile(r"([\s_-]+(merged|other|stuff))+$", re.IGNORECASE)


def match_categories(own: Categories, wanted: Categories, where: object) -> dict[int, int]:
    """The contiguous index in `wanted` of each category of `own`, by its contiguous index there.

    Raises DataProblemsError, its lines beginning with `where`, that lists every category of `own` which has
    no place in `wanted` (with the nearest name that has), shares its place with another, or is a thing here
    and stuff there.
    """
    index: dict[int, int] = {}
    taken: dict[int, str] = {}
    problems = []
    for position, category in enumerate(own):
        found = find_name(category.name, wanted)
        if found is None:
            problems.append(
                f"{where}: no category {category.name!r} in {wanted.name}; {_hint(category.name, wanted)}"
            )
            continue
        if found in taken:
            problems.append(
                f"{where}: {taken[found]!r} and {category.name!r} are both {wanted[found].name!r} in "
                f"{wanted.name}; rename one"
            )
        if wanted[found].is_thing != category.is_thing:
            kinds = ("a thing", "stuff") if category.is_thing else ("stuff", "a thing")
            problems.append(f"{where}: {category.name!r} is {kinds[0]} here, {kinds[1]} in {wanted.name}")
        taken[found] = category.name
        index[position] = found
    if problems:
        raise DataProblemsError(f"{where}: its categories do not fit {wanted.name}:", problems)
    return index


def find_name(name: str, wanted: Categories) -> int | None:
    """The contiguous index of the category that a name means, or None when it means none, or several."""
    names: set[str] = set()
    for spelling, table in zip(_SPELLINGS, _tables(wanted), strict=True):
        names |= spelling(name)
        found = set().union(*(table.get(key, ()) for key in names))
        if found:
            return found.pop() if len(found) == 1 else None
    return None


@cache
def _tables(wanted: Categories) -> tuple[dict[str, set[int]], ...]:
    """For each spelling, and with it all stricter ones, the categories that are written so."""
    names: list[set[str]] = [set() for _ in wanted]
    tables = []
    for spelling in _SPELLINGS:
        table: dict[str, set[int]] = {}
        for position, category in enumerate(wanted):
            names[position] |= spelling(category.name)
            for name in names[position]:
                table.setdefault(name, set()).add(position)
        tables.append(table)
    return tuple(tables)


def _exact(name: str) -> set[str]:
    # Marked, so that it is not taken for a looser spelling.
    return {f"={name}"}


def _plain(name: str) -> set[str]:
    return {_squeezed(name)} - {""}


def _first(name: str) -> set[str]:
    return _plain(name.partition(",")[0])


def _synonyms(name: str) -> set[str]:
    words = {_squeezed(part) for part in (name, *name.split(","))} - {""}
    return words.union(*(_groups().get(word, ()) for word in words))


def _last(name: str) -> set[str]:
    return _plain(name.rpartition("--")[2])


def _bare(name: str) -> set[str]:
    return _plain(_ENDINGS.sub("", name))


_SPELLINGS: tuple[Callable[[str], set[str]], ...] = (_exact, _plain, _first, _synonyms, _last, _bare)


def _squeezed(name: str) -> str:
    # Signs that tell names apart stay: C++ is not C, and "crack > 2 mm" not "crack < 2 mm".
    return re.sub(r"(?:[^\w+#<>=%]|_)+", "", name.casefold())


@cache
def _groups() -> dict[str, frozenset[str]]:
    """All words for the same, by each of them."""
    text = resources.files("pansight").joinpath("assets", "synonyms.json").read_text(encoding="utf-8")
    groups = [frozenset(map(_squeezed, words)) for words in json.loads(text)]
    return {word: group for group in groups for word in group}


def _hint(name: str, wanted: Categories) -> str:
    """The name of a category that looks most like this one."""
    plain = {_squeezed(known): known for known in wanted.names}
    near = difflib.get_close_matches(_squeezed(name), plain, n=1, cutoff=0.0)
    return f"did you mean {plain[near[0]]!r}?" if near else "the set is empty"

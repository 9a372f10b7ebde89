"""The categories that a set declares: well formed, and things and stuff as in the known data sets."""

from dataclasses import dataclass, field
from typing import Any

from pansight.categories import BUILTIN, Categories
from pansight.datatools.checking import kinds
from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.numbers import whole

_SAME_TABLE = 0.8
"""A table is that of a known data set when so many of its names are."""


@dataclass
class Classes:
    """What the ids of categories mean. `declared` is False where nothing says so: then any id will do."""

    names: dict[int, str] = field(default_factory=dict)
    things: dict[int, bool] = field(default_factory=dict)
    declared: bool = False

    def name(self, id: int) -> str:
        """The name of a category, for messages."""
        return self.names.get(id, f"category {id}")

    def is_stuff(self, id: int) -> bool:
        """Whether the category is known to be stuff."""
        return not self.things.get(id, True)

    def known(self, id: int | None) -> bool:
        """Whether segments may be of this category."""
        return id is not None and (not self.declared or id in self.names)


def read_classes(rows: Any, notes: Notes, given: Categories | None = None) -> Classes:
    """Read the table `categories` of a JSON; `given` stands in where it has none."""
    if not isinstance(rows, list) or not rows:
        notes.add(kinds.LIST_MISSING, "no categories in it")
        if given is None:
            return Classes()
        return Classes(
            {one.dataset_id: one.name for one in given},
            {one.dataset_id: one.is_thing for one in given},
            declared=True,
        )
    classes = Classes(declared=True)
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            notes.add(kinds.CATEGORY_MALFORMED, f"categories[{position}] is no object")
            continue
        id, thing, name = whole(row.get("id")), whole(row.get("isthing"), flag=True), row.get("name")
        faults = [f"{key} {number.fault}" for key, number in (("id", id), ("isthing", thing)) if number.fault]
        if thing.value not in (None, 0, 1):
            faults.append(f"isthing is {thing.value}")
        if not isinstance(name, str) or not name.strip():
            faults.append(f"name is {name!r}")
        if faults:
            notes.add(kinds.CATEGORY_MALFORMED, f"categories[{position}]: {', '.join(faults)}")
        if id.value is None:
            continue
        name = str(name).strip()
        if id.value in classes.names:
            notes.add(kinds.CATEGORY_REPEATED, f"id {id.value} is {classes.names[id.value]!r} and {name!r}")
            continue
        if name in classes.names.values():
            notes.add(kinds.CATEGORY_REPEATED, f"name {name!r} is used for id {id.value}, too")
        classes.names[id.value] = name
        classes.things[id.value] = bool(thing.value)
    return classes


def check_table(classes: Classes, notes: Notes) -> None:
    """Compare names and flags with the tables of the known data sets."""
    if not classes.names:
        return
    same = same_table(classes)
    tables = [same] if same is not None else [Categories.builtin(name) for name in BUILTIN]
    for id, name in classes.names.items():
        opinions = {
            table[table.names.index(name)].is_thing: table.name for table in tables if name in table.names
        }
        if opinions and classes.things[id] not in opinions:
            kind, other = ("a thing", "stuff") if classes.things[id] else ("stuff", "a thing")
            where = ", ".join(opinions.values()) if same else "every known data set that has it"
            notes.add(kinds.THING_FLAG, f"{name!r} is {kind} here, {other} in {where}")


def same_table(classes: Classes) -> Categories | None:
    """The known data set whose table this is, by most of the names; None for tables of one's own."""
    best, share = None, _SAME_TABLE
    names = set(classes.names.values())
    for key in BUILTIN:
        table = Categories.builtin(key)
        found = len(names.intersection(table.names)) / max(len(names), 1)
        if found >= share and len(names) >= len(table) / 2:
            best, share = table, found
    return best

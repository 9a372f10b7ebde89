"""The categories that a set declares: well formed, and things and stuff as in the known data sets."""

from dataclasses import dataclass, field
from typing import Any

from pansight.categories import BUILTIN, Categories
from pansight.datatools.checking import kinds
from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.numbers import whole

_SAME_TABLE = 0.8
"""Share of a table's names that must be a known data set's for it to count as that data set's table."""


@dataclass
class Classes:
    """What the ids of categories mean. `declared` is False without a table: then any id is accepted.

    `undecided` are categories that do not say whether they are things. `apart_stuff` and `apart_crowds` are
    those whose segments, though stuff or crowds, must not be joined: the table is doubted there.
    """

    names: dict[int, str] = field(default_factory=dict)
    things: dict[int, bool] = field(default_factory=dict)
    declared: bool = False
    undecided: set[int] = field(default_factory=set)
    apart_stuff: frozenset[int] = frozenset()
    apart_crowds: frozenset[int] = frozenset()

    def name(self, id: int) -> str:
        """The name of a category, for messages."""
        return self.names.get(id, f"category {id}")

    def is_stuff(self, id: int) -> bool:
        """Whether the category is known to be stuff."""
        return id not in self.undecided and not self.things.get(id, True)

    @property
    def has_things(self) -> bool:
        """Whether any category is known to be a thing."""
        return any(self.things.values())

    def joins(self, id: int, crowd: bool) -> bool:
        """Whether the segments of this category in an image are joined to one when it is fixed."""
        if crowd:
            return id not in self.apart_crowds
        return self.is_stuff(id) and id not in self.apart_stuff

    def known(self, id: int | None) -> bool:
        """Whether segments may be of this category."""
        return id is not None and (not self.declared or id in self.names)


def read_classes(rows: Any, notes: Notes, given: Categories | None = None) -> Classes:
    """Read the table `categories` of a JSON; `given` stands in where it has none."""
    if rows and not isinstance(rows, list):
        kind = "an object" if isinstance(rows, dict) else type(rows).__name__
        notes.add(
            kinds.CATEGORY_MALFORMED,
            f"categories is {kind}, where a list belongs: [{{id, name, isthing}}, ...]",
        )
        return Classes()
    if not rows:
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
            notes.add(kinds.CATEGORY_MALFORMED, f"categories[{position}] is not an object")
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
        classes.things[id.value] = thing.value == 1
        if thing.value not in (0, 1):
            classes.undecided.add(id.value)
    return classes


def check_table(classes: Classes, notes: Notes) -> None:
    """Compare names and flags with the tables of the known data sets."""
    if not classes.names:
        return
    if classes.declared and not classes.has_things and not classes.undecided:
        notes.add(
            kinds.THINGS_NONE,
            f"all {len(classes.names)} categories have isthing 0, as Datumaro writes them: "
            "objects of one category count as one region",
        )
    for id, where in doubted_flags(classes).items():
        kind, other = ("a thing", "stuff") if classes.things[id] else ("stuff", "a thing")
        notes.add(kinds.THING_FLAG, f"{classes.name(id)!r} is {kind} here, {other} in {where}")


def doubted_flags(classes: Classes) -> dict[int, str]:
    """The categories whose isthing is unlike that of the known data sets, and which of them say otherwise."""
    same = same_table(classes)
    tables = [same] if same is not None else [Categories.builtin(name) for name in BUILTIN]
    doubted = {}
    for id, name in classes.names.items():
        opinions = {
            table[table.names.index(name)].is_thing: table.name for table in tables if name in table.names
        }
        if id not in classes.undecided and opinions and classes.things[id] not in opinions:
            doubted[id] = ", ".join(opinions.values()) if same else "every known data set that has it"
    return doubted


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

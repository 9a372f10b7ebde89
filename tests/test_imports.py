"""Rooms stand on the rooms below them, and on no others: the rule of the design, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pansight

ROOT = Path(pansight.__file__).parent

GROUND = {"errors", "files", "lazy", "version"}
"""single files that everybody may use"""

BELOW: dict[str, set[str]] = {
    "categories": set(),
    "panoptic": {"categories"},
    "formats": {"categories", "panoptic"},
    # draws samples for `data` as a file would give them
    "scenes": {"categories", "panoptic"},
    "data": {"categories", "panoptic", "formats", "scenes"},
    "metrics": {"categories", "panoptic", "formats"},
    "drawing": {"categories", "panoptic", "formats"},
}
for room in ("datatools", "reporting"):
    BELOW[room] = {*BELOW}
BELOW["datatools"] -= {"reporting"}
BELOW["reporting"] -= {"datatools"}

# the way of the data, from blocks to the command line; each floor stands on all before it and on the above
SIDES = {*BELOW}
FLOORS: tuple[set[str], ...] = (
    {"nn"},
    {"merging"},
    {"models"},
    {"zoo"},
    {"runtime"},
    {"video", "training", "export"},
    {"bench", "serve", "fleet"},
    {"cli"},
)
for number, floor in enumerate(FLOORS):
    for room in floor:
        BELOW[room] = {*SIDES, *(lower for lower_floor in FLOORS[:number] for lower in lower_floor)}
# tensors know neither pictures on a disk nor scores
for room in ("nn", "merging", "models"):
    BELOW[room] -= {"scenes", "data", "metrics", "drawing", "datatools", "reporting"}


def imports(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported anywhere in a file, inside functions and for types too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            name = ".".join([*above, *filter(None, [node.module])])
            if name == "pansight":
                yield from ((node.lineno, f"pansight.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, name
        elif isinstance(node, ast.Dict):
            # the tables of lazily imported names
            for value in node.values:
                if isinstance(value, ast.Constant) and str(value.value).startswith("pansight."):
                    yield value.lineno, str(value.value)


def upward(source: str, room: str, package: str) -> list[str]:
    """The imports of a file in `room` that the rule forbids, one line each."""
    found = []
    for line, name in imports(source, package):
        target = name.split(".")[1] if name.startswith("pansight.") else ""
        if target and target != room and target not in GROUND and target not in BELOW[room]:
            found.append(f"line {line}: {room} imports {name}")
    return found


DOORS = {("runtime/segmenter.py", "pansight.video")}
"""The one door upwards: `Segmenter.track` is what people look for, and video stands on the Segmenter."""


@pytest.mark.parametrize("room", sorted(BELOW))
def test_imports_run_downwards_only(room: str) -> None:
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        package = ".".join(("pansight", *path.relative_to(ROOT).parent.parts))
        name = path.relative_to(ROOT).as_posix()
        found += [
            f"{name}, {one}"
            for one in upward(path.read_text(encoding="utf-8"), room, package)
            if not any(name == file and f"imports {door}." in one for file, door in DOORS)
        ]
    assert not found, "\n".join(found)


def test_every_room_has_its_place() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {
        path.stem for path in ROOT.glob("*.py") if path.stem not in ("__init__", "__main__")
    }
    assert rooms <= {*BELOW, *GROUND}


def test_the_ground_stands_on_itself_alone() -> None:
    for name in GROUND:
        source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
        for line, imported in imports(source, "pansight"):
            top, _, rest = imported.partition(".")
            assert top != "pansight" or rest.split(".")[0] in GROUND, f"{name}.py, line {line}: {imported}"


@pytest.mark.parametrize(
    "source",
    [
        "from pansight.formats import conversions",
        "import pansight.formats.conversions",
        "from pansight import formats",
        "from ..formats import conversions",
        "def late():\n    from pansight.formats.coco_files import read_json",
        "if TYPE_CHECKING:\n    from pansight.runtime.segmenter import Segmenter",
        'HOMES = {"load": "pansight.runtime.segmenter"}',
    ],
)
def test_the_rule_sees_every_way_of_importing(source: str) -> None:
    assert len(upward(source, "panoptic", "pansight.panoptic")) == 1
    assert not upward(source, "serve", "pansight.serve")

"""The guided tour leads somewhere: what CONTRIBUTING.md names exists, and its layout leaves out no folder."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TOUR = TEXT[TEXT.index("## A guided tour") :]
LAYOUT = TEXT[: TEXT.index("## Tests")]

NAMED = sorted(set(re.findall(r"`((?:[\w.*-]+/)+[\w.*-]*|\w+\.(?:py|md))`", TOUR)))


def found(name: str) -> bool:
    """Relative to the package or the root; a file name alone may lie anywhere in the package."""
    name = name.rstrip("/")
    places = [ROOT / "src" / "pansight", ROOT]
    if any(any(place.glob(name)) for place in places):
        return True
    return "/" not in name and any((ROOT / "src").rglob(name))


def test_the_tour_names_files() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize("name", NAMED)
def test_named_files_exist(name: str) -> None:
    assert found(name), f"CONTRIBUTING.md names {name}, which does not exist"


def test_the_layout_has_every_folder_of_the_package() -> None:
    named = set(re.findall(r"^  (\w+)/ ", LAYOUT, re.MULTILINE))
    there = {path.parent.name for path in (ROOT / "src" / "pansight").glob("*/__init__.py")} | {"assets"}
    assert named == there

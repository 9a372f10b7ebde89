"""Examples in docstrings, `>>>`, are run; those of the public API are there."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import pansight

ROOT = Path(pansight.__file__).parent

MODULES = sorted(
    ".".join(("pansight", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
    if re.search(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert tried, f"{name}: no example was found; is a decorator hiding it?"
    assert not failed

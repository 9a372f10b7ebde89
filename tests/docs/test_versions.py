"""The list of versions that the site offers."""

import json
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "docs_versions.py"


def test_versions_newest_first_then_dev(tmp_path: Path) -> None:
    for name in ("dev", "v0.2.0", "v0.10.0", "v0.2.1", "latest", "other"):
        (tmp_path / name).mkdir()
    runpy.run_path(str(SCRIPT))["main"](tmp_path)
    assert json.loads((tmp_path / "versions.json").read_text()) == ["v0.10.0", "v0.2.1", "v0.2.0", "dev"]
    assert "url=latest/" in (tmp_path / "index.html").read_text()


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no documentation"):
        runpy.run_path(str(SCRIPT))["main"](tmp_path)

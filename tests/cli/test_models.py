"""`pansight models`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pansight.cli.main import app
from pansight.zoo import available


def test_the_table_names_every_model_and_fits_a_pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PANSIGHT_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert set(rows) >= {spec.name for spec in available()}
    row = rows["yoso-r50-cityscapes"]
    for part in ("yoso", "cityscapes", "42.6M", "512 1024", "download", "52.5"):
        assert part in row
    assert "README of the released YOSO code" in result.stdout


def test_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PANSIGHT_HOME", str(tmp_path))
    cached = tmp_path / "weights" / "yoso_res50_ade20k.pth"
    cached.parent.mkdir()
    cached.touch()
    result = CliRunner().invoke(app, ["models", "--json"])
    assert result.exit_code == 0
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert list(rows) == [spec.name for spec in available()]
    ade = rows["yoso-r50-ade20k"]
    assert ade["parameters"] == 42_045_631
    assert (ade["things"], ade["stuff"], ade["data"]) == (100, 50, "ade20k")
    assert ade["weights"] == "cached"
    assert ade["files"][0]["cache"] == str(cached)
    assert ade["figures"] == [
        {"pq": 38.0, "fps": 35.4, "hardware": "V100", "source": "README of the released YOSO code"}
    ]
    assert rows["yoso-r50-coco"]["weights"] == "to download"

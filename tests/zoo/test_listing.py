"""The kept table of models says what the presets say, and where their weights are on this machine."""

from pathlib import Path

import pytest

from pansight.zoo import available, listing
from pansight.zoo.listing import kept_row, listed_models


def test_the_table_is_up_to_date(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PANSIGHT_HOME", str(tmp_path))
    rows = listed_models()
    specs = available()
    assert [row["name"] for row in rows] == [spec.name for spec in specs], "run scripts/count_parameters.py"
    for row, spec in zip(rows, specs, strict=True):
        expected = kept_row(spec)
        for key in row.keys() - {"weights", "files"}:
            assert row[key] == expected[key], f"{spec.name}, {key}: run scripts/count_parameters.py"
        assert [file["url"] for file in row["files"]] == [file.url for file in spec.weights]
        wanted = "embedded" if spec.embedded else "to download" if spec.weights else "none"
        assert row["weights"] == wanted


def test_embedded_models_that_are_missing_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "models.json"
    table.write_bytes(listing.TABLE.read_bytes())
    monkeypatch.setattr(listing, "ASSETS", tmp_path)
    monkeypatch.setattr(listing, "TABLE", table)
    names = {row["name"] for row in listed_models()}
    assert "yoso-r50-coco" in names and "yoso-tiny" not in names

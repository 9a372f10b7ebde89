"""`pansight models`."""

import hashlib
import json
import threading
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from pansight.cli.main import app
from pansight.models.yoso import YOSO
from pansight.zoo import ModelSpec, ReleasedFile, available, presets

Run = Any
"""What a command left behind; see conftest.py."""


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


def test_verbose_says_licences_files_and_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PANSIGHT_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["models", "--verbose"])
    assert result.exit_code == 0
    paragraphs = {text.split(":")[0]: text for text in ("\n" + result.stdout).split("\n") if ": " in text}
    assert set(paragraphs) >= {spec.name for spec in available()}
    one = CliRunner().invoke(app, ["models", "epsnet-r50-coco", "--verbose"]).stdout
    assert "licence: none stated: all rights reserved" in one and "1klQX2b9SSNnfmxPGoCBBgXxeybeX82yy" in one
    assert str(tmp_path / "weights" / "epsnet_resnet50.pth") in one and "size unknown" in one
    assert "licence: Apache-2.0" in CliRunner().invoke(app, ["models", "yoso-tiny", "-v"]).stdout
    assert "none are published" in CliRunner().invoke(app, ["models", "dense-r50-coco", "-v"]).stdout


def test_check_fetches_tries_and_counts(
    pansight: Callable[..., Run],
    small_scenes_model: YOSO,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    torch.save({"model": small_scenes_model.state_dict()}, site / "good.pth")
    (site / "bad.pth").write_bytes(b"no weights")

    class Site(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(site))

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        specs = [
            ModelSpec(
                name,
                "yoso",
                small_scenes_model.config,
                small_scenes_model.categories,
                small_scenes_model.preprocess,
                "for tests",
                weights=(ReleasedFile(f"{name}.pth", f"{address}/{name}.pth"),),
            )
            for name in ("good", "bad", "absent")
        ]
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "127.0.0.1")
        monkeypatch.setenv("PANSIGHT_HOME", str(tmp_path / "home"))
        monkeypatch.setattr(presets, "released", lambda: tuple(specs))
        monkeypatch.setattr(presets, "EMBEDDED", {})
        some = pansight("models", "--check")
        one = pansight("models", "good", "--check", "--json")
        none = pansight("models", "absent", "--check")
        server.shutdown()
    digest = hashlib.sha256((site / "good.pth").read_bytes()).hexdigest()
    assert some.code == 1 and "1 of 3 files are fine" in some.out
    size = (site / "good.pth").stat().st_size
    assert f"ok      good.pth: {size} bytes, SHA-256 {digest}, fits good" in some.out
    assert f'good.pth: sha256="{digest}", size={size}' in some.out
    assert "failed  bad.pth" in some.out and "is not a weights file" in some.out
    assert "failed  absent.pth: not fetched" in some.out and "404" in some.out
    assert one.code == 0
    (row,) = json.loads(one.out)
    assert (row["sha256"], row["size"], row["fits"], row["problems"]) == (digest, size, ["good"], [])
    assert none.code == 2


def test_check_of_models_without_files_says_so(pansight: Callable[..., Run]) -> None:
    done = pansight("models", "yoso-tiny", "--check")
    assert done.code == 2 and "no published files" in done.err

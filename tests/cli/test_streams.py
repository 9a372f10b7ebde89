"""Outputs that cannot hold every letter, and notes."""

import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.cli import main, models


def run(
    monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: object
) -> tuple[int | str | None, str, str]:
    """Exit code and output of a command whose streams are of that encoding."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr("sys.argv", ["pansight", *map(str, arguments)])
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as caught:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        main.run()
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return caught.value.code, texts[0], texts[1]


def test_models_into_a_pipe_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run(monkeypatch, "cp1252", "models")
    assert not code, err
    assert "yoso-tiny" in out and "[1] panoptic quality by the" in out
    assert "\\u" not in out
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
        assert models._raised(12) == "¹²"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_names_in_any_script(
    monkeypatch: pytest.MonkeyPatch, small_weights: Path, tmp_path: Path, encoding: str
) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "夜.png")
    (tmp_path / "街.png").write_text("no image")
    output = tmp_path / "出力"
    code, out, err = run(
        monkeypatch,
        encoding,
        "predict",
        tmp_path,
        "--weights",
        small_weights,
        "-o",
        output,
        "--device",
        "cpu",
    )
    assert code == 1
    assert "1 image segmented" in out and "\\u51fa\\u529b" in out
    assert "\\u8857.png: not an image" in err
    assert (output / "overlays/夜.jpg").exists()
    code, _, err = run(monkeypatch, encoding, "predict", tmp_path / "無.png", "--weights", small_weights)
    assert code == 2 and "\\u7121.png" in err


def warn() -> None:
    logging.getLogger("pansight.x").warning("a %s [b]", "word")
    sys.exit(0)


def test_what_the_library_logs_is_a_note(pansight: Callable[..., Any], tmp_path: Path) -> None:
    for _ in range(2):  # once each, however often the command runs in one process
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                main,
                "app",
                warn,
            )
            assert pansight("models").err == "note: a word [b]\n"

"""Published files that are there, changed, absent, or of another model."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pansight.models.released_files import RELEASED
from pansight.zoo import available
from pansight.zoo.checking import check_files, files_of


def publish(server: Any, model: Any, folder: Path) -> bytes:
    """The model as its authors would release it, on the server."""
    torch.save({"model": model.state_dict()}, folder / "released.pth")
    server.content = (folder / "released.pth").read_bytes()
    return bytes(server.content)


def test_a_good_file_says_size_checksum_and_what_it_fits(
    server: Any, tmp_path: Path, make_model: Callable[..., Any], make_spec: Callable[..., Any]
) -> None:
    content = publish(server, make_model(), tmp_path)
    specs = [
        dataclasses.replace(make_spec(name), weights=(server.file(),)) for name in ("small", "small-twin")
    ]
    (found,) = check_files(specs, tmp_path / "cache")
    assert found.well and found.fits == ("small", "small-twin")
    assert (found.size, found.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert found.is_new
    known = dataclasses.replace(server.file(sha256=True), size=len(content))
    (found,) = check_files([dataclasses.replace(specs[0], weights=(known,))], tmp_path / "cache")
    assert found.well and not found.is_new


def test_a_model_of_another_shape_is_named_with_the_keys(
    server: Any, tmp_path: Path, make_model: Callable[..., Any], make_spec: Callable[..., Any]
) -> None:
    publish(server, make_model(), tmp_path)
    specs = [
        dataclasses.replace(make_spec("small"), weights=(server.file(),)),
        dataclasses.replace(make_spec("wide", proposals=6), weights=(server.file(),)),
    ]
    (found,) = check_files(specs, tmp_path / "cache")
    assert found.fits == ("small",)
    (problem,) = found.problems
    assert "does not fit wide" in problem


def test_absent_changed_and_no_weights(server: Any, tmp_path: Path, make_spec: Callable[..., Any]) -> None:
    spec = make_spec("small")
    server.content = b"no weights"
    server.status = [404]
    absent = dataclasses.replace(spec, weights=(server.file(),))
    (found,) = check_files([absent], tmp_path / "one")
    assert found.path is None and "404" in found.problems[0]
    wrong = dataclasses.replace(server.file(), sha256="0" * 64)
    (found,) = check_files([dataclasses.replace(spec, weights=(wrong,))], tmp_path / "two")
    assert found.path is None and "differs from the published file" in found.problems[0]
    longer = dataclasses.replace(server.file(), size=11)
    (found,) = check_files([dataclasses.replace(spec, weights=(longer,))], tmp_path / "three")
    assert [line.split(";")[0].split(" ", 1)[1] for line in found.problems] == [
        "has 10 bytes where 11 were published",
        "is not a weights file",
    ]


def test_the_table_is_what_the_models_use() -> None:
    used = files_of(available())
    assert set(used) == set(RELEASED.values())
    assert len({file.name for file in used}) == len(used), "two files would overwrite one another"
    for file in used:
        assert file.url.startswith("https://") and file.page.startswith("https://github.com/")
        assert file.licence != "not stated"

"""onnxruntime-web: from an archive, from a folder, and what is said where it cannot be had."""

import io
import tarfile
from pathlib import Path

import pytest

from pansight.errors import InputError
from pansight.serve.web_runtime import FILES, VERSION, runtime_files


def archive(path: Path, names: tuple[str, ...]) -> Path:
    """A package as npm packs it, with a file that is not wanted and one that would leave its folder."""
    with tarfile.open(path, "w:gz") as file:
        for name in (*(f"package/dist/{name}" for name in names), "package/dist/ort.js", "../../evil.mjs"):
            member = tarfile.TarInfo(name)
            member.size = len(name)
            file.addfile(member, io.BytesIO(name.encode()))
    return path


def test_an_archive_gives_the_files_that_are_wanted(tmp_path: Path) -> None:
    files = runtime_files(archive(tmp_path / "ort.tgz", FILES))
    assert files == {name: f"package/dist/{name}".encode() for name in FILES}


@pytest.mark.parametrize("inner", ["", "dist"])
def test_a_folder_will_do(tmp_path: Path, inner: str) -> None:
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    for name in FILES:
        (folder / name).write_text(name)
    assert set(runtime_files(tmp_path)) == set(FILES)


def test_what_is_no_runtime_is_refused_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.tgz").write_text("no archive")
    for source, told in (
        (archive(tmp_path / "old.tgz", FILES[:2]), f"has no {FILES[2]}"),
        (tmp_path / "text.tgz", "cannot be read"),
        (tmp_path, f"has no {FILES[0]}"),
        (tmp_path / "none.tgz", "no such file or folder"),
    ):
        with pytest.raises(InputError, match="--runtime onnxruntime-web") as caught:
            runtime_files(source)
        assert told in str(caught.value)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="npm is not installed") as caught:
        runtime_files(None)
    assert f"npm pack onnxruntime-web@{VERSION}" in str(caught.value)


def test_npm_that_cannot_fetch_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network' >&2\necho more >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(InputError, match="npm error network") as caught:
        runtime_files(None)
    assert "\n" not in str(caught.value)

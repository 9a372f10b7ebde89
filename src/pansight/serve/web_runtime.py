"""onnxruntime-web, which runs graphs inside browsers: too large for the package, so it is fetched."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from pansight.errors import InputError

VERSION = "1.30.0"
"""The release that the page was tried with."""

FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
"""The first three run everywhere; the others are for WebGPU."""

LICENCE = """onnxruntime-web, https://github.com/microsoft/onnxruntime

MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""
"""Goes with every copy, as the licence asks; the npm package itself holds none."""

_REMEDY = (
    f"install Node.js, whose npm fetches it, or run `npm pack onnxruntime-web@{VERSION}` elsewhere and give "
    "the file: --runtime onnxruntime-web.tgz"
)


def runtime_files(source: Path | None) -> dict[str, bytes]:
    """The files of onnxruntime-web by their names.

    `source`: the package as a .tgz, its folder (`node_modules/onnxruntime-web`) or the folder `dist` in it;
    None: npm fetches it. Raises InputError, with what to do, when it is unavailable.
    """
    if source is None:
        with tempfile.TemporaryDirectory() as folder:
            return _from_archive(_packed_by_npm(Path(folder)))
    if source.is_dir():
        return _from_folder(source if (source / FILES[0]).exists() else source / "dist")
    if source.is_file():
        return _from_archive(source)
    raise InputError(f"{source}: no such file or folder; {_REMEDY}")


def _packed_by_npm(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(f"onnxruntime-web is needed and npm is not installed; {_REMEDY}")
    command = [npm, "pack", "--silent", f"onnxruntime-web@{VERSION}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"npm cannot fetch onnxruntime-web ({error}); {_REMEDY}") from error
    found = sorted(folder.glob("*.tgz"))
    if done.returncode or not found:
        lines = done.stderr.strip().splitlines() or ["it says nothing"]
        raise InputError(f"npm cannot fetch onnxruntime-web ({lines[0]}); {_REMEDY}")
    return found[0]


def _from_archive(path: Path) -> dict[str, bytes]:
    try:
        with tarfile.open(path) as archive:
            members = {Path(member.name).name: member for member in archive if "/dist/" in member.name}
            contents = {name: archive.extractfile(members[name]) for name in FILES if name in members}
            files = {name: file.read() for name, file in contents.items() if file is not None}
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {_REMEDY}") from error
    return _complete(files, path)


def _from_folder(folder: Path) -> dict[str, bytes]:
    return _complete(
        {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}, folder
    )


def _complete(files: dict[str, bytes], source: Path) -> dict[str, bytes]:
    missing = [name for name in FILES if name not in files]
    if missing:
        raise InputError(f"{source}: has no {missing[0]}, so it is not onnxruntime-web {VERSION}; {_REMEDY}")
    return files

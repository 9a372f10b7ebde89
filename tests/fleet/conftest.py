"""An archive in every form, and a model that is loaded in no time."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from pansight.categories import Categories
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.runtime.segmenter import Segmenter, load
from pansight.scenes import render_scene
from pansight.zoo import save_native

# A cluster of Ray takes half a minute of processor time to start, and has not been seen to on the busy
# machine where these tests run: PANSIGHT_RAY=1 runs them.
collect_ignore = [] if os.environ.get("PANSIGHT_RAY") else ["test_ray.py"]


@pytest.fixture(scope="session")
def weights(small_config: YOSOConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOSO for the synthetic scenes, so small that it runs in milliseconds, and untrained."""
    torch.manual_seed(16)
    model = YOSO(small_config, Categories.builtin("scenes"), Preprocess(short=64, longest=107)).eval()
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_native(model, path)
    return path


@pytest.fixture(scope="session")
def segmenter(weights: Path) -> Segmenter:
    """That model, as a worker has it, an image at a time: a batch of another size rounds otherwise."""
    return load(weights, engine="torch", device="cpu", batch_size=1)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of forty small scenes, one file that is damaged, and labels of nobody's interest."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(40):
        image = render_scene(9, number, 48, 64).image
        file = folder / ("deep" if number % 4 == 3 else "") / f"{number:03d}.jpg"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(file)
    (folder / "damaged.jpg").write_bytes((folder / "000.jpg").read_bytes()[:300])
    (folder / "labels.json").write_text("{}")
    return folder


@pytest.fixture(scope="session")
def contained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six of them in a zip, a tar and a compressed tar."""
    folder = tmp_path_factory.mktemp("contained")
    files = sorted(photos.glob("*.jpg"))[:6]
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for file in files:
            archive.write(file, file.name)
    for name, mode in (("b.tar", "w"), ("c.tar.gz", "w:gz")):
        with tarfile.open(folder / name, mode) as tar:  # type: ignore[call-overload]
            for file in files:
                tar.add(file, file.name)
    return folder


@pytest.fixture(scope="session")
def make_tar() -> Callable[..., Path]:
    """Write a tar of files by name: make_tar(path, members, mode)."""

    def make(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
        with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return path

    return make


@pytest.fixture(scope="session")
def make_zip() -> Callable[..., Path]:
    """Write a zip of files by name: make_zip(path, members)."""

    def make(path: Path, members: dict[str, bytes]) -> Path:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return make

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageFile

from pansight.data.pictures import read_picture
from pansight.errors import DataError
from pansight.runtime.images import read_image

PICTURE = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def test_rgb_is_read_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    found = read_picture(tmp_path / "a.png", 4, 6)
    np.testing.assert_array_equal(found, PICTURE)
    assert found.flags.writeable


@given(arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 4), st.just(4))))
def test_alpha_is_as_in_prediction(pixels: np.ndarray) -> None:
    check_alike(Image.fromarray(pixels))


@given(arrays(np.uint16, st.tuples(st.integers(1, 4), st.integers(1, 4))))
def test_sixteen_bits_are_as_in_prediction(pixels: np.ndarray) -> None:
    check_alike(Image.fromarray(pixels))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "RGB"])
def test_every_kind_is_as_in_prediction(mode: str) -> None:
    check_alike(Image.fromarray(PICTURE).convert(mode), "TIFF" if mode == "CMYK" else "PNG")


def check_alike(image: Image.Image, kind: str = "PNG") -> None:
    """What is learned from is what will be seen."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind.lower()}"
        image.save(path, kind)
        np.testing.assert_array_equal(read_picture(path, image.height, image.width), read_image(path))


def test_gray_of_8_and_16_bits(tmp_path: Path) -> None:
    gray = PICTURE[..., 0]
    expected = np.repeat(gray[..., None], 3, axis=2)
    Image.fromarray(gray).save(tmp_path / "8.png")
    nearly = (gray.astype(np.uint32) * 257 + 77).clip(max=65535).astype(np.uint16)
    Image.fromarray(nearly).save(tmp_path / "16.png")
    for name in ("8.png", "16.png"):
        np.testing.assert_array_equal(read_picture(tmp_path / name, 4, 6), expected)


def test_an_image_of_another_size_is_refused_undecoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 10_000)).save(path, compress_level=1)

    def decode(image: Image.Image) -> None:
        raise AssertionError("the bomb went off")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    with pytest.raises(DataError, match="20000 x 10000 pixels, its labels 6 x 4"):
        read_picture(path, 4, 6)


def test_orientation_follows_the_labels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    Image.fromarray(PICTURE).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png", 6, 4), np.rot90(PICTURE, -1))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png", 4, 6), PICTURE)
    exif[0x0112] = 3  # upside down: the size does not tell, so the picture is put upright
    Image.fromarray(PICTURE).save(tmp_path / "b.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "b.png", 4, 6), PICTURE[::-1, ::-1])


def test_wrong_size_and_broken_files_are_named(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png: the image is 6 x 4 pixels, its labels 7 x 4"):
        read_picture(tmp_path / "a.png", 4, 7)
    (tmp_path / "b.jpg").write_text("no picture")
    with pytest.raises(DataError, match=r"b.jpg: not an image of a known format"):
        read_picture(tmp_path / "b.jpg", 4, 7)
    with pytest.raises(DataError, match=r"c.jpg: no such file"):
        read_picture(tmp_path / "c.jpg", 4, 7)

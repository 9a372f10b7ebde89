from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pansight.data.pictures import read_picture
from pansight.errors import DataError

PICTURE = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def test_rgb_is_read_as_it_is_and_alpha_is_dropped(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png", 4, 6), PICTURE)
    Image.fromarray(np.dstack([PICTURE, PICTURE[..., 0]])).save(tmp_path / "b.png")
    found = read_picture(tmp_path / "b.png", 4, 6)
    np.testing.assert_array_equal(found, PICTURE)
    assert found.flags.writeable


def test_gray_of_8_and_16_bits(tmp_path: Path) -> None:
    gray = PICTURE[..., 0]
    expected = np.repeat(gray[..., None], 3, axis=2)
    Image.fromarray(gray).save(tmp_path / "8.png")
    Image.fromarray(gray.astype(np.uint16) * 256 + 77).save(tmp_path / "16.png")
    for name in ("8.png", "16.png"):
        np.testing.assert_array_equal(read_picture(tmp_path / name, 4, 6), expected)


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
    with pytest.raises(DataError, match=r"a.png: the picture is 6 x 4 pixels, its labels 7 x 4"):
        read_picture(tmp_path / "a.png", 4, 7)
    (tmp_path / "b.jpg").write_text("no picture")
    with pytest.raises(DataError, match=r"b.jpg: cannot be read"):
        read_picture(tmp_path / "b.jpg", 4, 7)
    with pytest.raises(DataError, match=r"c.jpg: no such file"):
        read_picture(tmp_path / "c.jpg", 4, 7)

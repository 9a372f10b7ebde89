"""Pictures from everywhere, the hostile ones among them: each segmented or refused in one line."""

import errno
import io
import os
import struct
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from pansight.errors import InputError
from pansight.runtime.images import MAX_PIXELS, read_image

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(size: tuple[int, int] = (6, 4)) -> Image.Image:
    """Red and green above, blue and white below: every turn and flip of it looks different."""
    width, height = size
    picture = Image.new("RGB", size, RED)
    picture.paste(GREEN, (width // 2, 0, width, height))
    picture.paste(BLUE, (0, height // 2, width // 2, height))
    picture.paste(WHITE, (width // 2, height // 2, width, height))
    return picture


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def png_header(width: int, height: int) -> bytes:
    """A whole PNG of one pixel whose header claims another size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = zlib.compress(b"\0\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


# What is right by EXIF: where the corner of the stored picture that is red belongs in the upright one.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    path.write_bytes(encoded(quarters(), "PNG", exif=exif.tobytes()))
    expected = TURNS[orientation](np.asarray(quarters()))
    np.testing.assert_array_equal(read_image(path), expected)
    with Image.open(path) as picture:  # a Pillow picture is told the same way as its file
        np.testing.assert_array_equal(read_image(picture), expected)


def test_unknown_orientation_and_broken_exif_leave_the_picture_as_it_is(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    for name, data in (("unknown", exif.tobytes()), ("broken", b"Exif\0\0MM\0*\xff\xff\xff\xff\1")):
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(encoded(quarters((32, 16)), "JPEG", exif=data))
        assert read_image(path).shape == (16, 32, 3)


def test_cmyk_keeps_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "print.jpg"
    path.write_bytes(encoded(Image.new("CMYK", (32, 16), (0, 255, 255, 0)), "JPEG"))
    pixels = read_image(path)
    assert pixels.shape == (16, 32, 3)
    assert np.abs(pixels.astype(int) - RED).max() < 8


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_gray_is_scaled_not_clipped(tmp_path: Path, kind: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    path = tmp_path / f"deep.{kind.lower()}"
    if kind == "PPM":
        path.write_bytes(b"P5 4 1 65535\n" + values.astype(">u2").tobytes())
    else:
        path.write_bytes(encoded(Image.fromarray(values), kind))
    np.testing.assert_array_equal(read_image(path)[0, :, 0], [0, 1, 128, 255])


def test_float_and_wide_integer_pixels_need_a_known_white(tmp_path: Path) -> None:
    path = tmp_path / "float.tiff"
    path.write_bytes(encoded(Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32)), "TIFF"))
    np.testing.assert_array_equal(read_image(path)[0, :, 1], [0, 128, 255])
    path.write_bytes(encoded(Image.fromarray(np.array([[0, 300.0]], dtype=np.float32)), "TIFF"))
    assert "0..300" in refusal(path)
    path.write_bytes(encoded(Image.fromarray(np.array([[0, 70_000]], dtype=np.int32)), "TIFF"))
    assert "0..70000" in refusal(path)


def test_transparent_pixels_are_laid_on_white(tmp_path: Path) -> None:
    def check(picture: Image.Image, kind: str, expected: Any, **options: Any) -> None:
        path = tmp_path / f"clear.{kind.lower()}"
        path.write_bytes(encoded(picture, kind, **options))
        np.testing.assert_array_equal(read_image(path)[0], expected)

    clear = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    clear.putpixel((1, 0), (9, 9, 9, 0))
    check(clear, "PNG", [RED, WHITE])
    clear.putpixel((1, 0), (0, 0, 0, 51))
    check(clear, "PNG", [RED, (204, 204, 204)])
    check(clear.convert("LA"), "PNG", [(76, 76, 76), (204, 204, 204)])
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, *BLUE])
    palette.putpixel((1, 0), 1)
    check(palette, "PNG", [RED, BLUE])
    check(palette, "PNG", [RED, WHITE], transparency=1)
    check(palette, "PNG", [RED, (153, 153, 255)], transparency=bytes([255, 102]))
    check(palette, "GIF", [RED, WHITE], transparency=1)
    check(Image.new("RGB", (2, 1), GREEN), "PNG", [WHITE, WHITE], transparency=GREEN)
    check(Image.new("L", (2, 1), 7), "PNG", [WHITE, WHITE], transparency=7)
    check(Image.new("1", (2, 1), 1), "PNG", [WHITE, WHITE])
    check(Image.new("1", (2, 1), 0), "PNG", [(0, 0, 0), (0, 0, 0)])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_of_several_frames_and_a_word_about_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    frames = [Image.new("RGB", (5, 3), color) for color in (RED, GREEN, BLUE)]
    path = tmp_path / f"moving.{kind.lower()}"
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    path.write_bytes(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    np.testing.assert_array_equal(read_image(path), np.full((3, 5, 3), RED))
    what = "pages" if kind == "TIFF" else "frames"
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: has several {what}; only the first is used"
    ]
    caplog.clear()
    path.write_bytes(encoded(frames[0], kind, **options))
    np.testing.assert_array_equal(read_image(path), np.full((3, 5, 3), RED))
    assert not caplog.records


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_cut_short(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(content[: int(share * len(content))])
    refusal(path)


def test_a_pillow_picture_that_turns_out_to_be_cut_short() -> None:
    content = encoded(quarters((64, 64)), "PNG")
    with Image.open(io.BytesIO(content[:-40])) as picture, pytest.raises(InputError, match="cut short"):
        read_image(picture)


@settings(deadline=None, max_examples=60)
@given(
    st.binary(max_size=300),
    st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]),
    st.integers(0, 300),
)
def test_whatever_the_bytes_it_is_a_picture_or_an_input_error(noise: bytes, kind: str, at: int) -> None:
    content = bytearray(encoded(quarters((32, 16)), kind))
    content[at : at + len(noise)] = noise
    with TemporaryDirectory() as folder:
        path = Path(folder) / "spoilt.jpg"
        path.write_bytes(content)
        try:
            pixels = read_image(path)
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == 3


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    empty, text, folder = tmp_path / "empty.jpg", tmp_path / "text.jpg", tmp_path / "x.jpg"
    link, loop, pipe = tmp_path / "link.jpg", tmp_path / "loop.jpg", tmp_path / "pipe.jpg"
    empty.touch()
    text.write_text("Dear diary,\ntoday I was renamed.\n" * 20)
    folder.mkdir()
    link.symlink_to(tmp_path / "gone.jpg")
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    assert "empty" in refusal(empty)
    assert "not an image" in refusal(text)
    assert "a folder" in refusal(folder)
    assert "broken link" in refusal(link)
    assert "cannot be read" in refusal(loop)
    assert "not a regular file" in refusal(pipe)
    assert "no such file" in refusal(tmp_path / "nobody.jpg")
    with pytest.raises(InputError, match="cannot be read"):
        read_image("null\0byte.jpg")
    with pytest.raises(InputError, match="cannot be read"):
        read_image(tmp_path / ("long" * 100 + ".jpg"))


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(encoded(quarters(), "JPEG"))

    def denied(path: Path, *args: Any, **options: Any) -> None:  # chmod would not stop root
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied" in refusal(path)


def test_postscript_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "program.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    assert "not an image" in refusal(path)


def test_odd_names(tmp_path: Path) -> None:
    for name in ("two words.png", "夜の街.png", "Straße [1].png", "-dash.png"):
        path = tmp_path / name
        path.write_bytes(encoded(quarters(), "PNG"))
        assert read_image(path).shape == (4, 6, 3)
        assert read_image(str(path)).shape == (4, 6, 3)
    with pytest.raises(InputError, match=r"a\\nb\.jpg: no such file"):
        read_image("a\nb.jpg")


def test_the_limit_of_pixels_is_checked_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(20_000, 10_000))
    assert MAX_PIXELS < 20_000 * 10_000
    message = refusal(path)
    assert "20000 x 10000" in message
    assert "--max-pixels" in message
    # with the limit raised it is decoded, and found to hold too little
    assert "cut short" in refusal(path, max_pixels=200_000_000)
    path.write_bytes(encoded(quarters(), "PNG"))
    assert read_image(path, max_pixels=24).shape == (4, 6, 3)
    refusal(path, max_pixels=23)


def test_a_real_bomb_is_refused_undecoded_and_without_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 10_000)).save(path, compress_level=1)
    assert path.stat().st_size < 500_000  # 200 megapixels, 600 MB as RGB

    def decode(image: Image.Image) -> None:
        raise AssertionError("the bomb went off")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    assert "20000 x 10000" in refusal(path)
    assert not recwarn.list
    with pytest.raises(InputError, match="went off"):  # the trap of this test is set right
        read_image(path, max_pixels=200_000_000)


def test_pillows_own_limit_is_never_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for a moment: other threads would open their files without it."""

    class Watched(ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            assert name != "MAX_IMAGE_PIXELS", "the limit of the whole process was changed"
            super().__setattr__(name, value)

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    path = tmp_path / "small.png"
    path.write_bytes(encoded(quarters(), "PNG"))
    monkeypatch.setattr(Image, "__class__", Watched)
    try:
        assert read_image(path).shape == (4, 6, 3)
    finally:
        monkeypatch.undo()


def test_formats_are_found_by_their_content(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "PPM", "DIB", "PCX", "SGI", "TGA"):
        path = tmp_path / "picture.of-some-kind"
        path.write_bytes(encoded(quarters((32, 16)), kind))
        assert read_image(path).shape == (16, 32, 3), kind


def test_arrays() -> None:
    rgb = np.asarray(quarters())
    np.testing.assert_array_equal(read_image(rgb), rgb)
    np.testing.assert_array_equal(read_image(rgb / 255), rgb)
    np.testing.assert_array_equal(read_image((rgb / 255).astype(np.float16)), rgb)
    np.testing.assert_array_equal(read_image(rgb.astype(np.uint16) * 257), rgb)
    gray = rgb[:, :, 0]
    for one in (gray, gray[:, :, None]):
        np.testing.assert_array_equal(read_image(one), np.stack([gray] * 3, axis=2))
    rgba = np.dstack([rgb, np.where(gray > 0, 255, 0).astype(np.uint8)])
    np.testing.assert_array_equal(read_image(rgba), np.where(gray[:, :, None] > 0, rgb, 255))
    np.testing.assert_array_equal(read_image(rgb[::-1, ::-1]), rgb[::-1, ::-1])


def test_tensors() -> None:
    rgb = np.asarray(quarters())
    tensor = torch.from_numpy(rgb.copy()).permute(2, 0, 1)
    for one in (tensor, tensor / 255, (tensor / 255).double(), (tensor / 255).requires_grad_()):
        np.testing.assert_array_equal(read_image(one), rgb)
    np.testing.assert_array_equal(read_image((tensor / 255).bfloat16()), rgb)
    for one in (tensor[0], tensor[:1]):
        np.testing.assert_array_equal(read_image(one), np.stack([rgb[:, :, 0]] * 3, axis=2))


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        (np.zeros((3, 8, 9), np.uint8), r"transpose\(1, 2, 0\)"),
        (np.zeros((2, 8, 9, 3), np.uint8), "as a list"),
        (np.zeros((8, 9, 5), np.uint8), r"\[h, w, 3\]"),
        (np.zeros((0, 9, 3), np.uint8), "no pixels"),
        (np.zeros((8, 9, 3), np.int64), "uint8"),
        (np.zeros((8, 9), bool), "uint8"),
        (np.full((8, 9, 3), 200.0), "divide by 255"),
        (np.full((8, 9, 3), -1.5), "normalisation"),
        (np.full((8, 9, 3), np.nan), "NaN"),
        (np.full((8, 9, 3), np.inf), "NaN or infinite"),
        (torch.zeros(8, 9, 3), r"permute\(2, 0, 1\)"),
        (torch.zeros(2, 3, 8, 9), "as a list"),
        (torch.zeros(3, 8, 0), "no pixels"),
        (torch.zeros(3, 8, 9, dtype=torch.int64), "uint8"),
    ],
)
def test_what_is_unclear_is_refused_with_a_hint(source: Any, hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        read_image(source)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_a_picture_is_told() -> None:
    unchecked: Any = getattr(read_image, "__wrapped__", read_image)  # without the checks of annotations
    with pytest.raises(InputError, match="a dict is not an image"):
        unchecked({})


def test_odd_real_files(shared_data: Path) -> None:
    folder = shared_data / "data/formats/odd_images_torchvision"
    logos = folder / "fakedata/logos"
    logo = read_image(logos / "rgb_pytorch.png").astype(int)
    for name in ("rgb_pytorch16.png", "rgb_pytorch.jpg", "cmyk_pytorch.jpg"):
        assert np.abs(read_image(logos / name) - logo).mean() < 12, name
    assert (logo[0, 0] == 0).all()
    cut_out = np.where(logo.max(axis=2, keepdims=True) > 0, logo, 255)
    for name in ("rgbalpha_pytorch.png", "rgbalpha_pytorch16.png", "palette_pytorch.png"):
        assert np.abs(read_image(logos / name) - cut_out).mean() < 12, name
    wizard = folder / "interlaced_png"
    np.testing.assert_array_equal(
        read_image(wizard / "wizard_low.png"), read_image(wizard / "wizard_low-interlaced.png")
    )
    assert read_image(folder / "damaged_jpeg/bad_huffman.jpg").shape == (768, 1024, 3)
    broken = [path for name in ("corrupt*.jpg", "sigsegv.png", "*LICENSE") for path in folder.rglob(name)]
    assert len(broken) == 6
    for path in broken:
        refusal(path)

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, features
from zlib_ng import zlib_ng

from pansight.errors import DataError
from pansight.formats import inflating
from pansight.formats.coco_files import decode_ids, read_ids
from pansight.formats.inflating import repacked
from pansight.panoptic.ids import ids_to_rgb

has_own = "zlib-ng" in (features.version("zlib") or "")


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    # Also where Pillow itself has zlib-ng.
    monkeypatch.setattr(inflating, "_zlib_ng", lambda: zlib_ng)


def png(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_data(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The picture with its image data, one IDAT, changed, and a right checksum."""
    place = content.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", content, place)
    data = content[place + 8 : place + 8 + length]
    return content[:place] + chunk(b"IDAT", change(data)) + content[place + 12 + length :]


IDS = np.random.default_rng(0).integers(0, 2**24, (5, 7))
SOUND = png(ids_to_rgb(IDS))


@settings(max_examples=50)
@given(
    pixels=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([3, 4]))),
    level=st.sampled_from([0, 1, 9]),
)
def test_pixels_stay_and_the_stream_is_stored(pixels: np.ndarray, level: int) -> None:
    content = png(pixels, compress_level=level)
    new = repacked(content)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(new))), pixels)
    # Stored, so that the decoder has nothing to inflate: the filtered rows lie in it as they are.
    height, width, channels = pixels.shape
    assert len(new) > height * (1 + width * channels)
    assert decode_ids(new, "new").tolist() == decode_ids(content, "old").tolist()


def test_checksums_are_right() -> None:
    new = repacked(SOUND)
    place = 8
    kinds = []
    while place < len(new):
        (length,) = struct.unpack_from(">I", new, place)
        body = new[place + 4 : place + 8 + length]
        assert struct.unpack_from(">I", new, place + 8 + length) == (zlib.crc32(body),)
        kinds.append(body[:4])
        place += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_data_in_many_chunks_and_remarks_between() -> None:
    place = SOUND.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", SOUND, place)
    data = SOUND[place + 8 : place + 8 + length]
    cut = b"".join(chunk(b"IDAT", data[i : i + 10]) for i in range(0, len(data), 10))
    end = SOUND[place + 12 + length :]
    start, note = SOUND[:place], chunk(b"tEXt", b"Author\0me")
    new = repacked(start + note + cut + note + end)
    assert new == start + note + repacked(SOUND)[place : -len(end)] + note + end
    np.testing.assert_array_equal(decode_ids(new, "new"), IDS)


FALSE = bytes(4)
"""No checksum of anything below."""

NOTE = chunk(b"tEXt", b"Author\0me")


@pytest.mark.parametrize(
    "extra",
    [
        NOTE,
        NOTE[:-4] + FALSE,
        chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(1 << 22))),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")),
        chunk(b"tRNS", b"\0"),
        chunk(b"gAMA", b"\0"),
        chunk(b"a\0bc", b""),
        chunk(b"PLTE", bytes(6)),
        chunk(b"IDAT", b""),
        chunk(b"IEND", b""),
    ],
    ids=lambda extra: repr(extra[4:8]),
)
def test_other_chunks_are_judged_by_the_decoder(extra: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    place = SOUND.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", SOUND, place)
    data, end = SOUND[place + 8 : place + 8 + length], SOUND[place + 12 + length :]
    halves = chunk(b"IDAT", data[:9]), chunk(b"IDAT", data[9:])
    contents = [
        SOUND[:place] + extra + halves[0] + halves[1] + end,
        SOUND[:place] + halves[0] + extra + halves[1] + end,
        SOUND[:place] + halves[0] + halves[1] + extra + end,
    ]

    def outcome(content: bytes) -> object:
        try:
            return decode_ids(content, "ids").tolist()
        except DataError as error:
            return str(error)

    with_it = [outcome(content) for content in contents]
    monkeypatch.setattr(inflating, "_zlib_ng", lambda: None)
    assert [outcome(content) for content in contents] == with_it


@pytest.mark.filterwarnings("ignore:Invalid APNG")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        SOUND[:20],
        SOUND[:33],
        SOUND[:-12],
        SOUND[: len(SOUND) // 2],
        with_data(SOUND, lambda data: data[:-1] + b"?"),
        with_data(SOUND, lambda data: data[: len(data) // 2]),
        with_data(SOUND, lambda data: b"no stream"),
        with_data(SOUND, lambda data: zlib.compress(zlib.decompress(data)[:-1])),
        with_data(SOUND, lambda data: zlib.compress(zlib.decompress(data) + b"?")),
        with_data(SOUND, lambda data: zlib.compress(bytes(1 << 22))),
        SOUND[:33] + chunk(b"acTL", bytes(8)) + SOUND[33:],
        SOUND[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + SOUND[24:],
        png(np.zeros((4, 4), np.uint8)),
        png(np.zeros((4, 4), np.uint16)),
    ],
    ids=lambda content: f"{len(content)}",
)
def test_what_is_not_sound_is_left_to_the_decoder(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert repacked(content) is content
    file = tmp_path / "ids.png"
    file.write_bytes(content)

    def outcome() -> object:
        try:
            return read_ids(file).tolist()
        except DataError as error:
            return str(error)

    with_it = outcome()
    monkeypatch.setattr(inflating, "_zlib_ng", lambda: None)
    assert outcome() == with_it


def test_interlaced_pictures_are_left_to_the_decoder() -> None:
    interlaced = SOUND[:28] + b"\x01" + SOUND[29:]
    assert repacked(interlaced) is interlaced


def test_without_the_package_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    inflating._zlib_ng.cache_clear()
    assert (repacked(SOUND) is SOUND) is has_own
    monkeypatch.setitem(__import__("sys").modules, "zlib_ng", None)
    inflating._zlib_ng.cache_clear()
    try:
        assert repacked(SOUND) is SOUND
    finally:
        inflating._zlib_ng.cache_clear()

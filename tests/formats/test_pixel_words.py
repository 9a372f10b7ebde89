"""Pixels as words are those that `tobytes` copies, whichever way they come."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pansight.formats.pixel_words import pixel_words


def words_of(image: Image.Image) -> np.ndarray:
    with pixel_words(image) as words:
        return words & np.uint32(0xFFFFFF)


def by_hand(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0] + 256 * pixels[..., 1].astype(np.uint32) + 65536 * pixels[..., 2].astype(np.uint32)


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([3, 4]), st.integers(0, 2**32 - 1))
def test_they_are_the_colours(height: int, width: int, channels: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    np.testing.assert_array_equal(words_of(Image.open(file)), by_hand(pixels))


@pytest.mark.parametrize("reason", [AttributeError, ValueError])
def test_without_the_memory_they_are_copied(monkeypatch: pytest.MonkeyPatch, reason: type[Exception]) -> None:
    def refuse(self: Image.Image, schema: object = None) -> None:
        raise reason("image is in multiple array blocks, use imaging_new_block for zero copy")

    monkeypatch.setattr(Image.Image, "__arrow_c_array__", refuse, raising=False)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    np.testing.assert_array_equal(words_of(Image.fromarray(pixels)), by_hand(pixels))


def test_an_image_of_several_blocks_is_copied() -> None:
    # Pillow takes blocks of 16 MiB
    pixels = np.random.default_rng(1).integers(0, 256, (2100, 2500, 3), dtype=np.uint8)
    np.testing.assert_array_equal(words_of(Image.fromarray(pixels)), by_hand(pixels))

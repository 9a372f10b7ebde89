"""Resizing rules, normalisation and padding."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from torch.nn import functional as F

from pansight.errors import InputError
from pansight.models.preprocess import Preprocess

SIDES = st.integers(1, 6000)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def detectron2_size(height: int, width: int, short: int, longest: int) -> tuple[int, int]:
    """ResizeShortestEdge.get_output_shape, with its order of roundings."""
    size = short * 1.0
    scale = size / min(height, width)
    new_height, new_width = (size, scale * width) if height < width else (scale * height, size)
    if max(new_height, new_width) > longest:
        scale = longest * 1.0 / max(new_height, new_width)
        new_height, new_width = new_height * scale, new_width * scale
    return int(new_height + 0.5), int(new_width + 0.5)


@settings(max_examples=500, deadline=None)
@example(11, 22, (800, 1333))  # halves that a different order of roundings would round down
@example(161, 2048, (512, 1024))
@given(SIDES, SIDES, st.sampled_from([(800, 1333), (512, 1024), (640, 2560), (2048, 2048), (512, 800)]))
def test_sizes_are_detectron2s(height: int, width: int, rule: tuple[int, int]) -> None:
    short, longest = rule
    got = Preprocess(short=short, longest=longest).target_size(height, width)
    expected = detectron2_size(height, width, short, longest)
    # the one difference: a picture never vanishes
    assert got == (max(1, expected[0]), max(1, expected[1]))
    assert max(got) <= longest or max(got) <= short


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (800, 1067)),
        ((427, 640), (800, 1199)),
        ((375, 1242), (402, 1333)),
        ((5000, 1), (1333, 1)),
    ],
)
def test_sizes_by_hand(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert Preprocess(short=800, longest=1333).target_size(*size) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=4), st.sampled_from([1, 8, 32, 128]))
def test_padded_size_is_the_smallest_multiple_that_holds_all(
    sizes: list[tuple[int, int]], divisor: int
) -> None:
    padded = Preprocess(divisor=divisor).padded_size(sizes)
    for axis in (0, 1):
        longest = max(size[axis] for size in sizes)
        assert padded[axis] % divisor == 0
        assert 0 < longest <= padded[axis] < longest + divisor


def test_squash_forgets_the_aspect() -> None:
    rule = Preprocess(squash=(550, 550))
    assert rule.target_size(10, 4000) == (550, 550)
    assert rule.resize(picture(20, 40)).shape == (550, 550, 3)


def test_rules_to_choose_from() -> None:
    paper = Preprocess(short=800, longest=1333)
    assert paper.resized("paper") is paper
    assert paper.resized("none").target_size(123, 4567) == (123, 4567)
    assert paper.resized(512).target_size(480, 640) == (512, 683)
    assert paper.resized(512).mean == paper.mean
    assert Preprocess(squash=(9, 9)).resized("none").target_size(5, 6) == (5, 6)
    assert Preprocess(squash=(9, 9)).resized(20).target_size(10, 30) == (20, 20)
    for wrong in (0, -3):
        with pytest.raises(InputError, match="short side in pixels"):
            paper.resized(wrong)


def test_resize_is_antialiased_bilinear_on_bytes() -> None:
    image = picture(60, 90)
    got = Preprocess(short=30).resize(image)
    expected = np.asarray(Image.fromarray(image).resize((45, 30), Image.Resampling.BILINEAR))
    assert got.dtype == np.uint8
    assert np.array_equal(got, expected)
    # antialiased: a board of single black and white pixels turns gray
    board = np.indices((64, 64)).sum(0) % 2 * 255
    small = Preprocess(short=16).resize(np.repeat(board[..., None], 3, 2).astype(np.uint8))
    assert small.std() < 10


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_bilinear_mixes_four_pixels_and_rounds_nothing(channels: Any) -> None:
    """EPSNet's: float32 from the start, no antialiasing."""
    rule = Preprocess(squash=(20, 50), divisor=1, channels=channels, resample="bilinear")
    image = picture(60, 90)
    tensor, sizes = rule.batch([image])
    assert sizes == ((20, 50), [(20, 50)], [(60, 90)])
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    small = F.interpolate(pixels, size=(20, 50), mode="bilinear", align_corners=False)
    assert torch.equal(tensor, rule.normalise(small))
    # rows shrink to a third: each new one is the middle one of three, untouched by its neighbours
    stripes = np.zeros((60, 90, 3), np.uint8)
    stripes[1::3] = 200
    plain = rule.model_copy(update={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})
    torch.testing.assert_close(plain.batch([stripes])[0], torch.full((1, 3, 20, 50), 200.0))


def test_bilinear_leaves_a_picture_of_the_right_size_alone_and_pads_the_others() -> None:
    rule = Preprocess(divisor=32, resample="bilinear")
    images = [picture(61, 90), picture(20, 90)]
    tensor, sizes = rule.batch(images)
    expected, same = rule.model_copy(update={"resample": "antialias"}).batch(images)
    assert sizes == same
    assert torch.equal(tensor, expected)


def test_what_was_written_before_there_was_a_choice_can_be_read() -> None:
    text = Preprocess(short=9).model_dump_json()
    assert ',"resample":"antialias"' in text
    assert Preprocess.model_validate_json(text.replace(',"resample":"antialias"', "")).resample == "antialias"


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    image = picture(64, 80)
    assert Preprocess(short=64, longest=1333).resize(image) is image


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_normalise(channels: str) -> None:
    rule = Preprocess(mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0), channels=channels)  # type: ignore[arg-type]
    pixel = torch.tensor([50, 60, 70], dtype=torch.uint8).view(1, 3, 1, 1)
    got = rule.normalise(pixel).flatten().tolist()
    assert got == ([40.0, 20.0, 10.0] if channels == "rgb" else [60.0, 20.0, 5.0])


def test_batch_pads_with_zeros_at_the_bottom_and_right() -> None:
    rule = Preprocess(divisor=32)
    images = [picture(61, 90, 1), picture(50, 97, 2)]
    tensor, sizes = rule.batch(images)
    assert tensor.shape == (2, 3, 64, 128)
    assert tensor.dtype == torch.float32
    assert sizes.padded == (64, 128)
    assert sizes.valid == sizes.output == [(61, 90), (50, 97)]
    for row, image in zip(tensor, images, strict=True):
        height, width = image.shape[:2]
        mean, std = np.array(rule.mean), np.array(rule.std)
        expected = torch.from_numpy(((image - mean) / std).transpose(2, 0, 1)).float()
        torch.testing.assert_close(row[:, :height, :width], expected, rtol=1e-5, atol=1e-5)
        assert row[:, height:].count_nonzero() == 0
        assert row[:, :, width:].count_nonzero() == 0


def test_batch_keeps_the_original_size_as_the_wanted_one() -> None:
    tensor, sizes = Preprocess(short=40, longest=100).batch([picture(20, 30), picture(80, 80)])
    assert sizes.valid == [(40, 60), (40, 40)]
    assert sizes.output == [(20, 30), (80, 80)]
    assert tensor.shape == (2, 3, 64, 64)


def test_batch_takes_pictures_that_are_read_only_and_leaves_them_alone() -> None:
    image = picture(32, 32)
    image.setflags(write=False)
    before = image.copy()
    tensor, _ = Preprocess().batch([image])
    tensor.zero_()
    assert np.array_equal(image, before)


def test_an_empty_batch_is_an_error() -> None:
    with pytest.raises(InputError, match="at least one image"):
        Preprocess().batch([])


@pytest.mark.parametrize("field", [{"short": 0}, {"divisor": 0}, {"mean": (1.0,)}, {"colour": "rgb"}])
def test_nonsense_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Preprocess(**field)  # type: ignore[arg-type]

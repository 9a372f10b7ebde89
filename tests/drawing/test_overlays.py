"""Overlays, legends and sheets as people call them."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Shaped
from PIL import Image

from pansight import draw
from pansight.categories import Categories, Category
from pansight.errors import InputError
from pansight.panoptic import PanopticMap, rgb_to_ids

COCO = Categories.builtin("coco")
PERSON, SKY, GRASS = (COCO.index(name) for name in ("person", "sky-other-merged", "grass-merged"))


def scene(height: int = 180, width: int = 320) -> PanopticMap:
    """Sky over grass, two persons, a void corner."""
    ids = np.full((height, width), 7, dtype=np.int32)
    ids[height // 2 :] = 2**24 - 1
    ids[height // 4 : -height // 8, width // 8 : width // 3] = 3
    ids[height // 4 : -height // 8, width // 2 : -width // 6] = 4
    ids[-height // 10 :, -width // 10 :] = 0
    table = [(2**24 - 1, GRASS, 0.5), (3, PERSON, 0.97), (4, PERSON), (7, SKY, 0.8)]
    return PanopticMap.from_table(ids, table, COCO)


def picture(height: int = 180, width: int = 320) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def colors_in(image: np.ndarray) -> set[tuple[int, ...]]:
    """The RGB colours that occur."""
    packed = np.unique(image.astype(np.int64) @ [1, 256, 65536])
    return {(int(value) % 256, int(value) // 256 % 256, int(value) // 65536) for value in packed}


def test_plain_overlay_is_the_mixture_with_each_segments_color() -> None:
    panoptic, image = scene(), picture()
    before = image.copy()
    drawn = draw.overlay(image, panoptic, alpha=0.4, boundaries=False, labels=False)
    np.testing.assert_array_equal(image, before)
    colors = draw.segment_colors(panoptic)
    for row, segment in enumerate(panoptic.segments, start=1):
        mask = panoptic.mask(segment.id)
        assert np.abs(drawn[mask] - (0.6 * image[mask] + 0.4 * colors[row])).max() < 2
    void = panoptic.ids == 0
    assert drawn[void].mean() < image[void].mean() * 0.8


def test_boundaries_and_labels_change_only_what_they_should() -> None:
    panoptic, image = scene(), np.full((180, 320, 3), 120, dtype=np.uint8)
    plain = draw.overlay(image, panoptic, boundaries=False, labels=False)
    lined = draw.overlay(image, panoptic, labels=False)
    changed = (lined != plain).any(axis=2)
    assert changed[90, 10] and not changed[60, 10] and 0 < changed.mean() < 0.05
    named = draw.overlay(image, panoptic)
    for segment in panoptic.segments:
        assert (named != lined)[panoptic.mask(segment.id)].any(), segment


def test_scores_are_written_where_there_are_any() -> None:
    panoptic, image = scene(), np.full((180, 320, 3), 120, dtype=np.uint8)
    changed = (draw.overlay(image, panoptic, scores=True) != draw.overlay(image, panoptic)).any(axis=2)
    assert changed[panoptic.mask(3)].any() and changed[panoptic.mask(7)].any()
    assert not changed[panoptic.mask(4)].any()


def test_lines_are_thicker_on_large_pictures() -> None:
    ids = np.ones((1080, 40), dtype=np.int32)
    ids[:, 20:] = 2
    for size, thickness in (((1080, 40), 1), ((1080, 1080), 2), ((2160, 2160), 4)):
        ids = np.ones(size, dtype=np.int32)
        ids[:, size[1] // 2 :] = 2
        panoptic = PanopticMap.from_table(ids, [(1, SKY), (2, GRASS)], COCO)
        image = np.zeros((*size, 3), dtype=np.uint8)
        lined = draw.overlay(image, panoptic, alpha=0.0, labels=False)
        assert np.flatnonzero(lined[0].any(axis=1)).size == thickness


@settings(deadline=None, max_examples=40)
@given(data=st.data(), height=st.integers(1, 30), width=st.integers(1, 30), count=st.integers(0, 5))
def test_any_map_can_be_drawn(data: st.DataObject, height: int, width: int, count: int) -> None:
    numbers = data.draw(st.lists(st.integers(1, 2**24 - 1), min_size=count, max_size=count, unique=True))
    seed = data.draw(st.integers(0, 1000))
    picked = np.random.default_rng(seed).integers(0, count + 1, (height, width))
    ids = np.array([0, *numbers], dtype=np.int32)[picked]
    panoptic = PanopticMap.from_table(ids, [(number, i, 0.5) for i, number in enumerate(numbers)], COCO)
    drawn = draw.overlay(picture(height, width), panoptic, scores=True)
    assert drawn.shape == (height, width, 3)
    assert draw.legend(panoptic, height=height).shape[0] >= height


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_hostile_shapes_and_all_void(shape: tuple[int, int]) -> None:
    full = PanopticMap.from_table(np.full(shape, 2**24 - 1, np.int32), [(2**24 - 1, 0)], COCO)
    void = PanopticMap.from_table(np.zeros(shape, np.int32), [], COCO)
    for panoptic in (full, void):
        assert draw.overlay(picture(*shape), panoptic).shape == (*shape, 3)
    dark = draw.overlay(np.full((*shape, 3), 255, np.uint8), void)
    assert dark.max() < 140


def test_three_hundred_segments() -> None:
    ids = np.arange(1, 301, dtype=np.int32).reshape(15, 20).repeat(24, axis=0).repeat(36, axis=1)
    panoptic = PanopticMap.from_table(ids, [(i, i % 133) for i in range(1, 301)], COCO)
    drawn = draw.overlay(picture(*ids.shape), panoptic, alpha=1.0, boundaries=False, labels=False)
    colors = draw.segment_colors(panoptic)
    np.testing.assert_array_equal(drawn[12::24, 18::36].reshape(-1, 3), colors[1:])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((180, 320), np.uint8), ["gray", "convert('RGB')"]),
        (np.zeros((180, 320, 1), np.uint8), ["gray"]),
        (np.zeros((180, 320, 4), np.uint8), ["alpha"]),
        (np.zeros((3, 180, 320), np.uint8), ["[3, 180, 320]"]),
        (np.zeros((180, 320, 3), np.float32), ["uint8", "float32"]),
        (np.zeros((0, 320, 3), np.uint8), ["pixels"]),
        (np.zeros((320, 180, 3), np.uint8), ["180x320", "320x180", "resize"]),
    ],
)
def test_wrong_pictures_are_refused_in_one_line(image: Shaped[np.ndarray, "..."], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        draw.overlay(image, scene())
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("alpha", [-0.1, 1.01, float("nan")])
def test_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(InputError, match="alpha"):
        draw.overlay(picture(), scene(), alpha=alpha)


def test_a_legend_shows_what_is_present_in_the_colors_drawn() -> None:
    panoptic = scene()
    shown = colors_in(draw.legend(panoptic))
    assert {tuple(color) for color in draw.segment_colors(panoptic)[1:].tolist()} <= shown
    assert COCO[COCO.index("cat")].color not in shown


def test_a_legend_of_categories_and_its_columns() -> None:
    tall = draw.legend(COCO)
    stuff = {category.color for category in COCO if not category.is_thing}
    assert stuff <= colors_in(tall)
    wide = draw.legend(COCO, height=600)
    assert wide.shape[0] == 600 and wide.shape[1] > 3 * tall.shape[1]
    assert draw.legend(COCO[:5], size=30).shape[0] > draw.legend(COCO[:5], size=15).shape[0]
    assert draw.legend([]).size > 0
    with pytest.raises(InputError, match="font size"):
        draw.legend(COCO, size=0)


def test_names_in_other_scripts_do_not_crash() -> None:
    names = ["人", "дорога", "شجرة", "🚗", "line\nbreak", "\ud800", "\x00", "é" * 300]
    categories = Categories(
        Category(name, i % 2 == 0, i, (40 * i % 256, 99, 9)) for i, name in enumerate(names)
    )
    ids = (np.arange(400)[:, None] // 100 * 2 + np.arange(600) // 300 + 1).astype(np.int32)
    panoptic = PanopticMap.from_table(ids, [(i + 1, i) for i in range(8)], categories)
    assert draw.overlay(picture(400, 600), panoptic).shape == (400, 600, 3)
    assert draw.legend(panoptic).shape[1] < 1000


def test_a_sheet_holds_every_picture_unchanged() -> None:
    images = [np.full((20 + i, 30 - i, 3), 40 * i + 50, dtype=np.uint8) for i in range(5)]
    sheet = draw.contact_sheet(images, columns=2)
    for image in images:
        assert (sheet == image[0, 0]).all(axis=2).sum() == image.shape[0] * image.shape[1]
    assert sheet.shape[0] > 3 * 22 and sheet.shape[1] > 2 * 28
    titled = draw.contact_sheet(images, columns=2, titles=["a rather long title"] * 5)
    assert titled.shape[0] > sheet.shape[0] and titled.shape[1] == sheet.shape[1]


def test_side_by_side_is_one_row_and_width_scales() -> None:
    images = [picture(40, 60), picture(80, 60), picture(40, 120)]
    row = draw.side_by_side(images, ["one", "two", "three"])
    assert row.shape[0] < 2 * 80 and row.shape[1] > 240
    small = draw.contact_sheet([images[2]] * 4, width=30)
    assert small.shape[0] < 50 and 60 < small.shape[1] < 90


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"images": []}, "at least one"),
        ({"images": [picture()], "titles": ["a", "b"]}, "2 titles for 1"),
        ({"images": [picture()], "columns": 0}, "columns"),
        ({"images": [picture()], "width": 0}, "width"),
        ({"images": [np.zeros((4, 4), np.uint8)]}, "gray"),
    ],
)
def test_impossible_sheets_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        draw.contact_sheet(**arguments)  # type: ignore[arg-type]


def test_a_real_picture_has_its_large_segments_named(shared_data: Path) -> None:
    folder = shared_data / "data" / "coco"
    content = json.loads((folder / "panoptic_sample.json").read_text())
    annotation = content["annotations"][0]
    ids = rgb_to_ids(np.asarray(Image.open(folder / "panoptic" / annotation["file_name"]).convert("RGB")))
    rows = [(row["id"], COCO.from_dataset_id(row["category_id"])) for row in annotation["segments_info"]]
    panoptic = PanopticMap.from_table(ids, rows, COCO)
    name = Path(annotation["file_name"]).stem
    (file,) = (folder / "images").glob(f"{name}.*")
    image = np.asarray(Image.open(file).convert("RGB"))
    lined = draw.overlay(image, panoptic, labels=False)
    named = (draw.overlay(image, panoptic) != lined).any(axis=2)
    largest = sorted(panoptic.segments, key=lambda segment: segment.area)[-3:]
    for segment in largest:
        assert named[panoptic.mask(segment.id)].any(), COCO[segment.category].name

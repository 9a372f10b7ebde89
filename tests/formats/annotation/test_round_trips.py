"""Map -> tool -> map: every format gives back the pixels and classes it can hold, over random maps."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as arrays
from PIL import Image

from pansight.categories import Categories
from pansight.datatools.preparing.annotated import AnnotatedSource, spoken_categories
from pansight.formats.annotation import FORMATS, Picture
from pansight.formats.annotation.outlines import border_loops, one_polygon
from pansight.formats.annotation.runs import drawn_polygon
from pansight.panoptic import PanopticMap

CLASSES = Categories.from_json(
    [
        {"id": 3, "name": "car", "isthing": 1},
        {"id": 4, "name": "per<so>n & co", "isthing": 1},
        {"id": 7, "name": "road", "isthing": 0},
        {"id": 9, "name": "sky", "isthing": 0},
    ],
    name="mine",
)

EXACT = (
    "cvat",
    "label-studio",
    "datumaro",
    "supervisely",
    "segments-ai",
    "fiftyone",
    "huggingface",
    "labelme",
)
"""These hold everything: crowds, holes, parts, stuff and void."""


@st.composite
def maps(draw: st.DrawFn, *, crowds: bool = True, scores: bool = True) -> PanopticMap:
    """Up to 9 x 9 pixels of up to 5 segments; stuff classes have one segment each."""
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    ids = draw(arrays.arrays(np.int32, (height, width), elements=st.integers(0, 5)))
    categories = [draw(st.integers(0, 1)) for _ in range(3)] + [2, 3]
    marked = [crowds and draw(st.booleans()) for _ in range(3)] + [False, False]
    given_scores = scores and draw(st.booleans())
    numbers = draw(
        st.lists(st.integers(1, draw(st.sampled_from((254, 60000)))), min_size=5, max_size=5, unique=True)
    )
    rows = [
        (number, category, 0.5 if given_scores else None, crowd)
        for number, category, crowd in zip(numbers, categories, marked, strict=True)
    ]
    return PanopticMap.from_table(np.array([0, *numbers], np.int32)[ids], rows, CLASSES)


def there_and_back(name: str, panoptic: PanopticMap) -> PanopticMap:
    with TemporaryDirectory() as place:
        folder = Path(place)
        writer = FORMATS[name].writer(folder, CLASSES)
        said = PanopticMap(panoptic.ids, panoptic.segments, writer.categories)
        picture = Picture(7, "a/b.png", "a/b")
        writer.plan([picture])
        row = writer.write(picture, said).row
        writer.save([row])
        image = Image.new("RGB", (panoptic.width, panoptic.height))
        (folder / "images" / "a").mkdir(parents=True, exist_ok=True)
        image.save(folder / "images" / "a" / "b.png")
        reader = FORMATS[name].reader(folder)
        source = AnnotatedSource(reader, spoken_categories(reader, None, None, None))
        assert source.categories == writer.categories
        assert len(source) == 1
        return source.truth(0)


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(panoptic=maps())
def test_everything_comes_back(name: str, panoptic: PanopticMap) -> None:
    back = there_and_back(name, panoptic)
    assert back.same_as(panoptic)
    assert np.array_equal(back.ids, panoptic.ids)
    score = {segment.score for segment in panoptic.things()}
    assert {segment.score for segment in back.things()} == score


@pytest.mark.parametrize("name", ["voc", "cvat-mask", "bdd100k", "v7"])
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(panoptic=maps(crowds=False, scores=False))
def test_mask_images_come_back_without_scores(name: str, panoptic: PanopticMap) -> None:
    back = there_and_back(name, panoptic)
    same = PanopticMap(panoptic.ids, panoptic.segments, back.categories)
    assert back.same_as(same)
    if name in ("bdd100k", "v7") or panoptic.ids.max(initial=0) <= 254:
        # stuff has no number in VOC
        held = panoptic.things() if name == "voc" else panoptic.segments
        for segment in held:
            assert np.array_equal(back.ids == segment.id, panoptic.ids == segment.id)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(panoptic=maps(scores=False))
def test_bdd100k_holds_crowds(panoptic: PanopticMap) -> None:
    back = there_and_back("bdd100k", panoptic)
    assert back.same_as(PanopticMap(panoptic.ids, panoptic.segments, back.categories))


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    mask = draw(arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
    mask[0, 0] = True
    return mask


@settings(max_examples=100, deadline=None)
@given(mask=masks())
def test_a_polygon_of_one_part_is_exact_holes_included(mask: np.ndarray) -> None:
    loops = border_loops(mask)
    covered = np.zeros_like(mask)
    for loop in loops:
        for x, y in loop.pixels:
            assert mask[y, x]
            covered[y, x] = True
    # every pixel beside nothing is on a border
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    assert np.array_equal(covered, mask & ~inner)
    polygon = one_polygon(mask)
    assert polygon.parts == sum(not loop.is_hole for loop in loops)
    crop = drawn_polygon([np.array(polygon.corners, np.float64)], *mask.shape)
    drawn = np.zeros_like(mask)
    drawn[crop.top : crop.top + crop.mask.shape[0], crop.left : crop.left + crop.mask.shape[1]] = crop.mask
    if polygon.parts == 1:
        assert np.array_equal(drawn, mask)
    else:
        assert (drawn | ~mask).all()


@pytest.mark.parametrize("ids", ({"sky": "9"}, {"sky": 9.5}, {"sky": True}, [9], "9"))
def test_ids_that_fiftyone_cannot_have_written_are_ignored(ids: object, tmp_path: Path) -> None:
    panoptic = PanopticMap.from_table(np.full((2, 2), 40, np.int32), [(40, 3)], CLASSES)
    writer = FORMATS["fiftyone"].writer(tmp_path, CLASSES)
    row = json.loads(writer.write(Picture(1, "a.png", "a"), panoptic).row)
    row["semantic"]["segment_ids"] = ids
    writer.save([json.dumps(row)])
    reader = FORMATS["fiftyone"].reader(tmp_path)
    source = AnnotatedSource(reader, spoken_categories(reader, None, None, None))
    assert [segment.id for segment in source.truth(0).segments] == [1]


def test_a_copied_shape_is_an_object_of_its_own(tmp_path: Path) -> None:
    """In the tool a user copies a shape and moves it: the copy gets a free id."""
    ids = np.zeros((8, 8), np.int32)
    ids[1:3, 1:3] = 7
    writer = FORMATS["labelme"].writer(tmp_path, CLASSES)
    writer.write(Picture(1, "a.png", "a"), PanopticMap.from_table(ids, [(7, 0)], CLASSES))
    writer.save([None])
    content = json.loads((tmp_path / "a.json").read_text())
    copy = {**content["shapes"][0], "points": [[5, 5], [6, 6]]}
    (tmp_path / "a.json").write_text(json.dumps({**content, "shapes": [*content["shapes"], copy]}))
    reader = FORMATS["labelme"].reader(tmp_path)
    truth = AnnotatedSource(reader, spoken_categories(reader, None, None, None)).truth(0)
    assert [(segment.id, segment.area) for segment in truth.segments] == [(7, 4), (1, 4)]

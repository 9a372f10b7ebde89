"""How maps are written: panoptic PNG, run-length codes, rows; and what is kept for sliders."""

import io
import json
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco

from pansight.categories import Categories
from pansight.panoptic import PanopticMap, rgb_to_ids
from pansight.panoptic.sizes import Sizes
from pansight.serve.answers import Form, framed, write
from pansight.serve.holding import Shelf
from pansight.serve.png import ids_png
from pansight.serve.rle import segment_counts
from pansight.serve.served import Held

SIZES = st.tuples(st.integers(1, 24), st.integers(1, 24))


@settings(max_examples=25)
@given(arrays(np.int32, SIZES, elements=st.integers(0, (1 << 24) - 1)))
def test_any_reader_of_png_gets_the_ids_back(ids: np.ndarray) -> None:
    image = Image.open(io.BytesIO(ids_png(ids, '{"ä": 1}')))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(rgb_to_ids(np.asarray(image)), ids)
    assert image.text["segments"] == '{"ä": 1}'  # type: ignore[attr-defined]


@settings(max_examples=40)
@given(arrays(np.int32, SIZES, elements=st.integers(0, 4)))
def test_run_lengths_are_those_of_pycocotools(ids: np.ndarray) -> None:
    panoptic = as_map(ids)
    counts = segment_counts(panoptic)
    assert set(counts) == set(np.unique(ids[ids > 0]).tolist())
    for id, text in counts.items():
        expected = coco.encode(np.asfortranarray((ids == id).astype(np.uint8)))
        assert text == expected["counts"].decode()


def test_run_lengths_of_long_runs() -> None:
    ids = np.zeros((1000, 2500), np.int32)
    ids[10:900, 1200:] = 7
    ids[5, 3] = 2
    counts = segment_counts(as_map(ids))
    for id in (2, 7):
        mask = coco.decode({"size": [1000, 2500], "counts": counts[id].encode()})
        np.testing.assert_array_equal(mask, ids == id)


@pytest.mark.parametrize("segments", [3, 300])
def test_rows_point_into_the_list_of_segments(segments: int) -> None:
    ids = (np.arange(40 * 50).reshape(40, 50) % (segments + 1) * 11).astype(np.int32)
    panoptic = as_map(ids)
    message = framed(write(Form.ROWS, np.zeros((40, 50, 3), np.uint8), panoptic, {"frame": 4}))
    length = int.from_bytes(message[:4], "little")
    header = json.loads(message[4 : 4 + length])
    assert header["frame"] == 4
    dtype = np.uint8 if header["bytes"] == 1 else np.dtype("<u2")
    rows = np.frombuffer(zlib.decompress(message[4 + length :]), dtype).reshape(40, 50)
    table = np.array([0, *(segment["id"] for segment in header["segments"])])
    np.testing.assert_array_equal(table[rows], ids)


def test_the_shelf_forgets_the_least_recently_used_first() -> None:
    shelf = Shelf(100, 60.0)
    image = np.zeros((1, 1, 3), np.uint8)
    first, second = (shelf.put("m", held(40), image) for _ in range(2))
    assert first is not None and second is not None and first != second
    assert shelf.get(first) is not None  # used just now, so the second goes
    third = shelf.put("m", held(40), image)
    assert third is not None
    assert shelf.get(second) is None
    assert shelf.get(first) is not None and shelf.get(third) is not None
    assert shelf.nbytes == 2 * 43
    assert shelf.put("m", held(101), image) is None
    assert len(shelf) == 2


def test_the_shelf_forgets_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(1000, 60.0)
    now = time.monotonic()
    token = shelf.put("m", held(40), np.zeros((1, 1, 3), np.uint8))
    assert token is not None
    monkeypatch.setattr("pansight.serve.holding.time.monotonic", lambda: now + 61)
    assert shelf.get(token) is None
    assert shelf.nbytes == 0


def held(nbytes: int) -> Held:
    """Outputs of that size."""
    return Held((), Sizes((32, 32), [(1, 1)], [(1, 1)]), nbytes)


def as_map(ids: np.ndarray) -> PanopticMap:
    """A map of these ids, categories in turn."""
    categories = Categories.builtin("coco")
    table = [(int(id), int(id) % len(categories), 0.5) for id in np.unique(ids) if id]
    return PanopticMap.from_table(ids, table, categories)

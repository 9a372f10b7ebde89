"""Any masks to one exclusive map; results of transformers and detectron2 as maps."""

import json
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from pansight.categories import Categories
from pansight.errors import CategoryError, InputError
from pansight.formats.coco_masks import decode_segmentation
from pansight.panoptic import PanopticMap, merge_masks

CLASSES = Categories.from_json(
    [
        {"id": number, "name": name, "isthing": int(name in ("car", "person", "sign"))}
        for number, name in enumerate(("sky", "road", "tree", "car", "person", "sign"), start=1)
    ]
)
STACKS = arrays.arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)))


@settings(max_examples=50)
@given(masks=STACKS, with_scores=st.booleans())
def test_a_pixel_belongs_to_the_best_mask_that_covers_it(masks: np.ndarray, with_scores: bool) -> None:
    scores = [0.1 * (n % 3) for n in range(len(masks))] if with_scores else None
    ids = merge_masks(masks, scores)
    areas = masks.sum(axis=(1, 2))
    for y, x in np.ndindex(ids.shape):
        covering = [n for n in range(len(masks)) if masks[n, y, x]]
        best = min(covering, key=lambda n: (-(scores or [0] * 9)[n], areas[n], n), default=-1)
        assert ids[y, x] == best + 1


def test_stuff_and_crowds_lie_below() -> None:
    full, left = np.ones((2, 4), bool), np.zeros((2, 4), bool)
    left[:, :2] = True
    panoptic = PanopticMap.from_masks(
        [left, full, left],
        ["sky", "car", "person"],
        scores=[0.9, 0.1, 0.5],
        among=CLASSES,
        crowds=[False, False, True],
    )
    assert panoptic.ids.tolist() == [[2] * 4] * 2
    panoptic = PanopticMap.from_masks([full, left, ~left], [0, 3, 0], among=CLASSES)
    assert panoptic.ids.tolist() == [[2, 2, 1, 1]] * 2  # one segment of sky
    assert [segment.category for segment in panoptic.segments] == [0, 3]


def test_masks_without_classes_are_objects() -> None:
    full, small = np.ones((2, 2), bool), np.eye(2, dtype=bool)
    panoptic = PanopticMap.from_masks(np.stack([full, small]), scores=[0.5, 0.9])
    assert panoptic.categories.names == ("object",)
    assert [(one.id, one.area, one.score) for one in panoptic.segments] == [(1, 2, 0.5), (2, 2, 0.9)]
    assert PanopticMap.from_masks([full, small], ["a", "b"]).categories.names == ("a", "b")


def test_hidden_masks_can_be_dropped() -> None:
    full, most = np.ones((1, 10), bool), np.ones((1, 10), bool)
    most[0, :1] = False
    assert merge_masks([full, most], [0.5, 0.9]).tolist() == [[1] + [2] * 9]
    assert merge_masks([full, most], [0.5, 0.9], max_occlusion=0.5).tolist() == [[0] + [2] * 9]
    assert merge_masks([full, most], [0.5, 0.9], min_area=2).tolist() == [[0] + [2] * 9]


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(InputError, match="of one size"):
        merge_masks([np.ones((1, 2), bool), np.ones((2, 1), bool)])
    with pytest.raises(InputError, match="2 masks need 2 scores"):
        merge_masks(np.ones((2, 1, 1), bool), [0.5])
    with pytest.raises(InputError, match="no masks to merge"):
        merge_masks([])
    with pytest.raises(CategoryError, match="category 9 of a mask"):
        PanopticMap.from_masks(np.ones((1, 1, 1), bool), [9], among=CLASSES)


@settings(max_examples=20)
@given(ids=arrays.arrays(np.int32, (4, 5), elements=st.integers(0, 3)))
def test_frameworks_and_run_lengths_go_both_ways(ids: np.ndarray) -> None:
    panoptic = PanopticMap.from_table(ids, [(1, 3, 0.5), (2, 0, 0.25), (3, 3, 1.0)], CLASSES)
    for back in (
        PanopticMap.from_huggingface(panoptic.to_huggingface(), CLASSES),
        PanopticMap.from_detectron2(panoptic.to_detectron2(), CLASSES),
    ):
        assert np.array_equal(back.ids, panoptic.ids)
        assert back.segments == panoptic.segments
    for segment, rle in zip(panoptic.segments, panoptic.to_rle(), strict=True):
        assert np.array_equal(decode_segmentation(rle, 4, 5), panoptic.mask(segment.id))


def test_compact_masks_of_supervision_are_the_same() -> None:
    ids = np.array([[1, 1, 0], [0, 2, 2]], np.int32)
    panoptic = PanopticMap.from_table(ids, [(1, 3), (2, 4)], CLASSES)
    compact = panoptic.to_supervision(compact=True)
    assert np.array_equal(np.asarray(compact.mask), panoptic.masks())


def test_results_of_transformers(shared_data: Path) -> None:
    folder = shared_data / "data" / "annotation" / "huggingface"
    truth = json.loads((folder / "expected.json").read_text())
    for name in ("own_mask2former", "own_eomt"):
        with np.load(folder / f"{name}.npz") as arrays_in:
            (key,) = arrays_in.files
            segmentation = torch.from_numpy(arrays_in[key].astype(np.int64))
        rows = json.loads((folder / f"{name}.json").read_text())
        panoptic = PanopticMap.from_huggingface(
            {"segmentation": segmentation, "segments_info": rows}, CLASSES
        )
        found = sorted((CLASSES.names[one.category], one.area, list(one.box)) for one in panoptic.segments)
        assert found == sorted((r["label"], r["area"], r["bbox"]) for r in truth[name]["panoptic"])
        assert int((panoptic.ids == 0).sum()) == truth[name]["void"]


def test_an_empty_result_and_a_reused_id_of_transformers() -> None:
    empty = {"segmentation": torch.full((2, 3), -1.0), "segments_info": []}
    assert PanopticMap.from_huggingface(empty, CLASSES).segments == ()
    rows = [{"id": 1, "label_id": 3, "score": 0.5}, {"id": 1, "label_id": 0, "score": 0.5}]
    with pytest.raises(InputError, match="transformers reuses ids"):
        PanopticMap.from_huggingface({"segmentation": torch.ones(2, 2), "segments_info": rows}, CLASSES)


def test_what_cannot_be_merged_is_told_in_one_line(unchecked_shapes: None) -> None:
    masks = [np.ones((2, 3), bool), np.eye(2, 3, dtype=bool)]
    for words, options in (
        ("2 masks have 1 crowd flags", {"crowds": [True]}),
        ("scores of masks must be numbers", {"scores": [None, None]}),
        ("scores of masks must be numbers", {"scores": [0.5, float("nan")]}),
        ("max_occlusion 7 must be 0 to 1", {"max_occlusion": 7}),
        ("min_area -1 0 or more", {"min_area": -1}),
    ):
        with pytest.raises(InputError, match=words):
            PanopticMap.from_masks(masks, **options)


def test_no_masks_of_a_known_size_are_a_void_map() -> None:
    nothing = PanopticMap.from_masks(np.zeros((0, 4, 5), bool))
    assert nothing.ids.shape == (4, 5) and not nothing.ids.any() and nothing.segments == ()
    assert merge_masks(np.zeros((0, 4, 5), bool)).shape == (4, 5)


def test_results_of_other_frameworks_that_are_not_whole(unchecked_shapes: None) -> None:
    ids, categories = np.ones((2, 3), np.int64), Categories.builtin("coco")
    with pytest.raises(InputError, match="of a list, give them one by one"):
        PanopticMap.from_huggingface([{"segmentation": ids, "segments_info": []}], categories)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="has segmentation and segments_info"):
        PanopticMap.from_huggingface({"segmentation": ids}, categories)
    with pytest.raises(InputError, match="has no segments_info"):
        PanopticMap.from_detectron2((ids, None), categories)  # type: ignore[arg-type]

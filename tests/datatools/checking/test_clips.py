"""What the doctor says of videos."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pansight.data.opening import open_dataset
from pansight.data.videos import VideoDataset
from pansight.datatools.checking.clips import check_clips
from pansight.panoptic import ids_to_rgb

CATEGORIES = [
    {"id": 1, "name": "wall", "isthing": 0, "color": [1, 1, 1]},
    {"id": 2, "name": "person", "isthing": 1, "color": [2, 2, 2]},
    {"id": 3, "name": "car", "isthing": 1, "color": [3, 3, 3]},
]


def codes(
    root: Path, frames: Sequence[tuple[int, dict[int, int]]], order: Sequence[int] = ()
) -> dict[str, str]:
    """Findings about a clip of frames (number, category by id): the first id is the ground, others blocks."""
    annotations = []
    for number, table in frames:
        ids = np.zeros((20, 60), np.int32)
        ids[:] = next(iter(table))
        for place, id in enumerate(list(table)[1:]):
            ids[4:16, 4 + 18 * place : 16 + 18 * place] = id
        name = f"{number:04d}.png"
        (root / "gt").mkdir(exist_ok=True)
        Image.fromarray(ids_to_rgb(ids)).save(root / "gt" / name)
        rows = [{"id": i, "category_id": c, "iscrowd": 0, "area": 1} for i, c in table.items()]
        annotations.append(
            {"image_id": number, "video": "v", "frame": number, "file_name": name, "segments_info": rows}
        )
    annotations = [annotations[place] for place in order] or annotations
    (root / "gt.json").write_text(json.dumps({"annotations": annotations, "categories": CATEGORIES}))
    data = open_dataset(root / "gt.json", kind="video")
    assert isinstance(data, VideoDataset)
    report = check_clips(data, "here")
    return {finding.kind.code: finding.text for finding in report.findings}


def test_a_clean_clip(tmp_path: Path) -> None:
    assert codes(tmp_path, [(0, {1: 1, 5: 2, 6: 3}), (1, {1: 1, 5: 2}), (2, {1: 1, 5: 2, 6: 3})]) == {}


def test_ids_that_jump(tmp_path: Path) -> None:
    found = codes(tmp_path, [(0, {1: 1, 5: 2, 6: 2}), (1, {1: 1, 5: 2, 7: 2}), (2, {1: 1, 5: 2, 7: 2})])
    assert found == {"id-jumps": "6 becomes 7 in 0001"}


def test_another_object_at_the_same_place_is_no_jump(tmp_path: Path) -> None:
    assert codes(tmp_path, [(0, {1: 1, 5: 2}), (1, {1: 1, 6: 3})]) == {}


def test_ids_that_change_their_class(tmp_path: Path) -> None:
    found = codes(tmp_path, [(0, {1: 1, 5: 2}), (1, {1: 1, 5: 3})])
    assert list(found) == ["id-changes-class"] and "5 was person, is car" in found["id-changes-class"]


def test_stuff_has_one_id(tmp_path: Path) -> None:
    assert list(codes(tmp_path, [(0, {1: 1, 5: 2}), (1, {2: 1, 5: 2})])) == ["stuff-ids"]


def test_frames_out_of_order(tmp_path: Path) -> None:
    frames = [(number, {1: 1, 5: 2}) for number in range(4)]
    found = codes(tmp_path, frames, order=(0, 2, 1, 3))
    assert list(found) == ["frames-unordered"] and "1 comes after number 2" in found["frames-unordered"]

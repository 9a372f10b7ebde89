"""Readers of videos: each layout as its authors wrote it, in a few pixels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.data.opening import dataset_splits, open_dataset
from pansight.data.videos import VideoDataset
from pansight.errors import DataError, DataProblemsError
from pansight.panoptic import ids_to_rgb
from pansight.scenes import SceneClips, render_clip

CATEGORIES = [
    {"id": 0, "name": "wall", "isthing": 0, "color": [1, 1, 1]},
    {"id": 60, "name": "person", "isthing": 1, "color": [2, 2, 2]},
]


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def image() -> np.ndarray:
    return np.full((4, 6, 3), 90, np.uint8)


def nested(root: Path, frames: list[str], ids: dict[str, np.ndarray]) -> Path:
    """VIPSeg's prepared form."""
    annotations = []
    for frame in frames:
        save(root / "panomasksRGB" / "v1" / f"{frame}.png", ids_to_rgb(ids[frame]))
        save(root / "images" / "v1" / f"{frame}.jpg", image())
        rows: list[dict[str, Any]] = [
            {"id": id, "category_id": 60 if id >= 9 else 0, "iscrowd": 0, "area": 1}
            for id in np.unique(ids[frame]).tolist()
            if id
        ]
        annotations.append({"file_name": f"{frame}.png", "image_id": frame, "segments_info": rows})
    listed = [{"id": frame, "file_name": f"{frame}.png", "width": 6, "height": 4} for frame in frames]
    content = {
        "videos": [{"video_id": "v1", "images": listed}],
        "annotations": [{"video_id": "v1", "annotations": annotations}],
        "categories": CATEGORIES,
    }
    path = root / "panoptic_gt_VIPSeg_val.json"
    path.write_text(json.dumps(content))
    return path


def two(*values: int) -> np.ndarray:
    ids = np.full((4, 6), values[0], np.int32)
    ids[1:3, 1:4] = values[1]
    return ids


def test_vipseg_prepared(tmp_path: Path) -> None:
    path = nested(tmp_path, ["00000001", "00000002"], {"00000001": two(1, 9), "00000002": two(1, 9)})
    assert dataset_splits(tmp_path) == ("val",)
    for data in (open_dataset(tmp_path), open_dataset(path), open_dataset(path, kind="video")):
        assert isinstance(data, VideoDataset)
        assert data.clips == {"v1": range(2)}
        sample = data[1]
        assert sample.image_id == "v1/00000002" and sample.image.shape == (4, 6, 3)
        assert [(s.id, s.category) for s in sample.panoptic.segments] == [(1, 0), (9, 1)]


def test_vipseg_raw(tmp_path: Path) -> None:
    values = two(1, 6100)
    values[0, 0] = 0
    for clip in ("a", "b"):
        save(tmp_path / "panomasks" / clip / "00000001.png", values.astype(np.uint16))
        save(tmp_path / "imgs" / clip / "00000001.jpg", image())
    (tmp_path / "val.txt").write_text("b\n")
    with pytest.raises(DataError, match="panoVIPSeg_categories"):
        open_dataset(tmp_path)
    (tmp_path / "panoVIPSeg_categories.json").write_text(json.dumps(CATEGORIES))
    data = open_dataset(tmp_path, split="val")
    assert isinstance(data, VideoDataset) and list(data.clips) == ["b"]
    panoptic = data[0].panoptic
    assert [(s.id, s.category) for s in panoptic.segments] == [(1, 0), (6100, 1)]
    assert panoptic.ids[0, 0] == 0


def test_kitti_step(tmp_path: Path) -> None:
    codes = np.zeros((4, 6, 3), np.uint8)
    codes[...] = (0, 0, 0)
    codes[0, :2] = (13, 1, 4)  # car 260
    codes[0, 2:4] = (13, 0, 0)  # cars that nobody told apart
    codes[3] = 255
    for frame in range(2):
        save(tmp_path / "panoptic_maps" / "val" / "0002" / f"{frame:06d}.png", codes)
        save(tmp_path / "images" / "val" / "0002" / f"{frame:06d}.png", image())
    data = open_dataset(tmp_path)
    assert isinstance(data, VideoDataset) and data.clips == {"0002": range(2)}
    names = data.categories.names
    found = {(names[s.category], s.is_crowd, s.area) for s in data[0].panoptic.segments}
    assert found == {("road", False, 14), ("car", False, 2), ("car", True, 2)}
    codes[0, 0] = (77, 0, 0)
    save(tmp_path / "panoptic_maps" / "val" / "0002" / "000001.png", codes)
    with pytest.raises(DataError, match=r"000001\.png: class 77"):
        data.truth(1)


def test_cityscapes_vps(tmp_path: Path) -> None:
    images, annotations = [], []
    for frame in (1, 2):
        name = f"0005_{frame:04d}_ulm_000000_{frame:06d}"
        save(tmp_path / "val" / "panoptic_video" / f"{name}_final_mask.png", ids_to_rgb(two(1, 9)))
        save(tmp_path / "val" / "img_all" / f"{name}_newImg8bit.png", image())
        images.append({"id": name, "file_name": f"{name}_newImg8bit.png", "width": 6, "height": 4})
        rows = [{"id": i, "category_id": c, "iscrowd": 0, "area": 1} for i, c in ((1, 0), (9, 13))]
        annotations.append({"image_id": name, "file_name": f"{name}_final_mask.png", "segments_info": rows})
    path = tmp_path / "panoptic_gt_val_city_vps.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    data = open_dataset(tmp_path)
    assert isinstance(data, VideoDataset) and data.clips == {"0005": range(2)}
    assert {data.categories[s.category].name for s in data[1].panoptic.segments} == {"road", "car"}


def test_what_is_wrong_with_a_json_is_listed_whole(tmp_path: Path) -> None:
    path = nested(tmp_path, ["1", "2"], {"1": two(1, 9), "2": two(1, 9)})
    content = json.loads(path.read_text())
    frames = content["annotations"][0]["annotations"]
    frames[0]["segments_info"][0]["category_id"] = 5
    frames[1]["segments_info"][1].pop("id")
    frames.append(frames[0])
    path.write_text(json.dumps(content))
    with pytest.raises(DataProblemsError) as caught:
        open_dataset(path)
    assert len(caught.value.problems) == 3


def test_scene_clips_are_the_clips() -> None:
    clips = SceneClips(7, (48, 64), 2, 3, offset=4)
    assert isinstance(clips, VideoDataset) and len(clips) == 6
    assert list(clips.clips.values()) == [range(3), range(3, 6)]
    expected = render_clip(7, 5, 48, 64, 2)[1]
    assert np.array_equal(clips[4].image, expected.image)
    assert np.array_equal(clips.truth(4).ids, expected.panoptic.ids)
    assert clips[-6].image_id == clips.image_ids[0] == "clip-7-000004-0000"
    with pytest.raises(IndexError):
        clips[6]
    opened = open_dataset("scene-clips", split="val")
    assert isinstance(opened, VideoDataset) and len(opened.clips) == 10

"""Clips -> KITTI-STEP, Cityscapes-VPS, VIPSeg -> clips: ids last, and what has no place is named."""

from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as arrays

from pansight.categories import Categories
from pansight.data.opening import open_dataset
from pansight.data.videos import VideoDataset
from pansight.errors import CategoryError
from pansight.formats.annotation import VIDEO_WRITERS, Picture
from pansight.formats.annotation.losses import Lost
from pansight.panoptic import PanopticMap

CITY = Categories.builtin("cityscapes")
OTHER = Categories.from_json(
    [
        {"id": 3, "name": "car", "isthing": 1},
        {"id": 9, "name": "sign", "isthing": 1},
        {"id": 4, "name": "person", "isthing": 1},
        {"id": 7, "name": "road", "isthing": 0},
    ],
    name="mine",
)
NAMES = ("person", "person", "car", "car", "road", "sky")


@st.composite
def clips(draw: st.DrawFn) -> list[tuple[Picture, PanopticMap]]:
    """Two clips of two frames; a person or a car keeps its id, one of them may be a crowd."""
    tracks = draw(st.lists(st.integers(1, 65535), min_size=4, max_size=4, unique=True))
    rows = []
    for number, name in enumerate(NAMES):
        crowd = number == 1 and draw(st.booleans())
        id = tracks[number] if number < 4 else 100_000 + number
        rows.append((id, CITY.index(name), None, crowd))
    shape = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    frames = []
    for clip in ("0003", "0012"):
        for frame in range(2):
            ids = draw(arrays.arrays(np.int32, shape, elements=st.integers(0, len(rows))))
            values = np.array([0, *(row[0] for row in rows)], np.int32)[ids]
            name = f"{clip}/{frame:06d}"
            frames.append((Picture(name, f"{name}.jpg", name), PanopticMap.from_table(values, rows, CITY)))
    return frames


def written(kind: str, folder: Path, frames: list[tuple[Picture, PanopticMap]]) -> list[Lost]:
    writer = VIDEO_WRITERS[kind](folder, frames[0][1].categories)
    writer.plan([picture for picture, _ in frames])
    found = [writer.write(picture, panoptic) for picture, panoptic in frames]
    writer.save([one.row for one in found])
    return [lost for one in found for lost in one.lost]


@pytest.mark.parametrize("kind", VIDEO_WRITERS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames=clips())
def test_clips_come_back_with_their_ids(kind: str, frames: list[tuple[Picture, PanopticMap]]) -> None:
    with TemporaryDirectory() as place:
        assert written(kind, Path(place), frames) == []
        data = open_dataset(place)
        assert isinstance(data, VideoDataset)
        assert len(data) == 4 and [len(one) for one in data.clips.values()] == [2, 2]
        for number, (_, panoptic) in enumerate(frames):
            back = data.truth(number)
            assert back.same_as(PanopticMap(panoptic.ids, panoptic.segments, back.categories))
            for segment in panoptic.things():
                track = np.unique(back.ids[panoptic.ids == segment.id]).tolist()
                if kind != "kitti-step":
                    assert track == [segment.id]
                elif not segment.is_crowd:
                    assert [one % 65536 for one in track] == [segment.id]


def test_what_kitti_step_has_no_place_for_is_named(tmp_path: Path) -> None:
    ids = np.array([[1, 2, 3, 65537, 4]], np.int32)
    rows = [(1, 0, None, False), (2, 1, None, False), (3, 2, None, False), (65537, 0, None, False),
            (4, 3, None, False)]  # fmt: skip
    panoptic = PanopticMap.from_table(ids, rows, OTHER)
    lost = written("kitti-step", tmp_path, [(Picture(1, "one.jpg", "one"), panoptic)])
    assert [(one.name, "no place" in one.kind) for one in lost] == [
        ("segment 2 (sign)", True),
        ("segment 65537 (car)", False),
    ]
    (file,) = (tmp_path / "panoptic_maps").rglob("*.png")
    assert file.relative_to(tmp_path).as_posix() == "panoptic_maps/val/0000/000000.png"


def test_classes_that_kitti_step_does_not_know_are_refused(tmp_path: Path) -> None:
    mine = Categories.from_json([{"id": 1, "name": "cow", "isthing": 1}], name="mine")
    with pytest.raises(CategoryError, match="--map"):
        VIDEO_WRITERS["kitti-step"](tmp_path, mine)


def test_vps_ids_begin_with_the_number_of_the_video(tmp_path: Path) -> None:
    panoptic = PanopticMap.from_table(np.array([[5]], np.int32), [(5, 0, None, False)], OTHER)
    frames = [(Picture(f"{clip}/{name}", f"{clip}/{name}.png", f"{clip}/{name}"), panoptic)
              for clip in ("berlin street", "bonn") for name in ("a b", "c")]  # fmt: skip
    written("cityscapes-vps", tmp_path, frames)
    names = sorted(path.name for path in tmp_path.rglob("*.png"))
    assert names == [
        "0000_0000_a-b_final_mask.png",
        "0000_0001_c_final_mask.png",
        "0001_0000_a-b_final_mask.png",
        "0001_0001_c_final_mask.png",
    ]


def test_names_that_are_numbers_and_others_never_meet(tmp_path: Path) -> None:
    """Clips, and frames of a clip, by number: each its own file."""
    names = ["street/cat", "street/1", "0/7", "1/1000000", "1/1000001", "1/0", "yard/0001"]
    panoptic = PanopticMap.from_table(np.ones((2, 2), np.int32), [(1, CITY.index("car"), None, False)], CITY)
    for kind in VIDEO_WRITERS:
        for together in (True, False):
            writer = VIDEO_WRITERS[kind](tmp_path / f"{kind}{together}", CITY)
            pictures = [Picture(number, f"{name}.jpg", name) for number, name in enumerate(names)]
            for batch in [pictures] if together else [[one] for one in pictures]:
                writer.plan(batch)
                for picture in batch:
                    writer.write(picture, panoptic)
            assert len(list(writer.folder.rglob("*.png"))) == len(names)
    sequences = {path.parent.name for path in (tmp_path / "kitti-stepTrue").rglob("*.png")}
    assert {"0000", "0001"} < sequences and len(sequences) == 4

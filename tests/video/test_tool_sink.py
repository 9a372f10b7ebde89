"""Videos in the formats of annotation tools and video data sets: read back, with the images of the frames."""

from pathlib import Path

import numpy as np
import pytest

from pansight.categories import Categories
from pansight.data.opening import open_dataset
from pansight.data.videos import VideoDataset
from pansight.datatools.preparing.annotated import AnnotatedSource, spoken_categories
from pansight.errors import InputError
from pansight.formats.annotation import FORMATS, VIDEO_WRITERS, find_writer
from pansight.panoptic import PanopticMap
from pansight.runtime.images import read_image
from pansight.video.frames import Frame
from pansight.video.sinks.base import TrackedFrame
from pansight.video.sinks.tool import ToolFiles, ToolSink

CATEGORIES = Categories.builtin("cityscapes")
CAR, SKY = CATEGORIES.index("car"), CATEGORIES.index("sky")


def frames() -> list[TrackedFrame]:
    """A car, number 77, that moves a pixel a frame below the sky; the frame before it was dropped."""
    found = []
    for index in (1, 3, 4):
        ids = np.full((12, 16), 9, np.int32)
        ids[4:8, index : index + 6] = 77
        panoptic = PanopticMap.from_table(ids, [(9, SKY, 0.9), (77, CAR, 0.8)], CATEGORIES)
        image = np.full((12, 16, 3), 40 * index, np.uint8)
        found.append(TrackedFrame(Frame(image, index=index), panoptic))
    return found


def written(name: str, folder: Path) -> ToolFiles:
    files = ToolFiles(find_writer(name)(folder, CATEGORIES))
    for video in ("left", "right"):
        sink = ToolSink(files, video)
        for result in frames():
            sink.write(result)
        sink.close()
    files.close()
    return files


@pytest.mark.parametrize("name", VIDEO_WRITERS)
def test_a_video_data_set_comes_back_as_clips(name: str, tmp_path: Path) -> None:
    assert not written(name, tmp_path).lost
    data = open_dataset(tmp_path)
    assert isinstance(data, VideoDataset) and [len(clip) for clip in data.clips.values()] == [3, 3]
    for number in range(6):
        sample = data[number]
        expected = frames()[number % 3]
        assert np.abs(sample.image.astype(int) - expected.image).max() <= 2
        (car,) = sample.panoptic.things()
        assert car.id % 65536 == 77
        assert np.array_equal(sample.panoptic.ids == car.id, expected.panoptic.ids == 77)


@pytest.mark.parametrize("name", FORMATS)
def test_a_tool_gets_labels_and_images_of_every_frame(name: str, tmp_path: Path) -> None:
    written(name, tmp_path)
    reader = FORMATS[name].reader(tmp_path)
    stuff = None if name != "yolo" else ["sky"]
    source = AnnotatedSource(reader, spoken_categories(reader, None, stuff, None))
    assert len(source) == 6 and len(set(source.names)) == 6
    pictures = {path.stem for path in tmp_path.rglob("*.jpg")}
    assert pictures == {"000001", "000003", "000004"} and len(list(tmp_path.rglob("*.jpg"))) == 6
    for number, image_name in enumerate(source.names):
        truth = source.truth(number)
        expected = next(one for one in frames() if f"{one.index:06d}" in image_name)
        (car,) = truth.things()
        assert np.array_equal(truth.ids == car.id, expected.panoptic.ids == 77)
        assert name == "yolo" or car.id == 77
        # Supervisely puts images into a folder of their own within the video's
        places = {path.as_posix().replace("/img/", "/"): path for path in tmp_path.rglob("*.jpg")}
        (image,) = [path for place, path in places.items() if place.endswith(image_name)]
        assert np.abs(read_image(image).astype(int) - expected.image).max() <= 2


def test_a_source_is_never_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "left" / "000001.jpg"
    source.parent.mkdir()
    source.write_bytes(b"mine")
    files = ToolFiles(find_writer("labelme")(tmp_path, CATEGORIES), {source.resolve()})
    with pytest.raises(InputError, match="would be overwritten; choose another --output"):
        files.add("left", frames()[0])
    assert source.read_bytes() == b"mine"


def test_what_a_format_cannot_hold_is_counted(tmp_path: Path) -> None:
    files = written("yolo", tmp_path)
    assert sum(files.lost.values()) == 6 and all("stuff" in reason for reason in files.lost)

"""Logs of robots, read back with the formats' own packages: MCAP with ROS 2 messages, and Rerun."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap_ros2.reader import read_ros2_messages
from PIL import Image
from rerun.chunk import RrdReader

from pansight.categories import Categories
from pansight.errors import CategoryError
from pansight.formats import ros2
from pansight.panoptic import PanopticMap
from pansight.video.frames import Frame
from pansight.video.sinks import TrackedFrame
from pansight.video.sinks.mcap import TOPICS, McapSink
from pansight.video.sinks.rerun import RerunSink

CLASSES = Categories.from_json(
    [
        {"id": 3, "name": "car", "isthing": 1},
        {"id": 4, "name": "person", "isthing": 1},
        {"id": 300, "name": "road", "isthing": 0},
    ],
    name="mine",
)


def plain(one: Any) -> Any:
    """A decoded message as dictionaries and lists."""
    if hasattr(one, "__slots__"):
        return {name: plain(getattr(one, name)) for name in one.__slots__}
    return [plain(item) for item in one] if isinstance(one, list | tuple) else one


def messages(path: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for message in read_ros2_messages(str(path)):
        found.setdefault(message.channel.topic, []).append((message.log_time_ns, plain(message.ros_msg)))
    return found


def frame(panoptic: PanopticMap, index: int = 0, seconds: float = 0.0, captured: float = 0.0) -> TrackedFrame:
    pixels = np.full((panoptic.height, panoptic.width, 3), 90, np.uint8)
    return TrackedFrame(Frame(pixels, "camera", 0, index, seconds, captured), panoptic)


def a_map(car: int = 7) -> PanopticMap:
    ids = np.array([[0, car, car], [9, 9, 11]], np.int32)
    rows = [(car, 0, 0.5, False), (9, 2, None, False), (11, 1, None, False)]
    return PanopticMap.from_table(ids, rows, CLASSES)


def test_messages_are_those_of_an_independent_writer(shared_data: Path, tmp_path: Path) -> None:
    own = messages(shared_data / "data" / "annotation" / "robotics" / "own_ros2.mcap")
    kept = {topic: rows[0][1] for topic, rows in own.items()}
    image = kept["/segmentation/ids"]
    shape = image["height"], image["width"]
    ids = np.frombuffer(image["data"], "<u2").reshape(shape).astype(np.int32)
    classes = np.frombuffer(kept["/segmentation/classes"]["data"], np.uint8).reshape(shape)
    rows = [row for row in kept["/segmentation/label_info"]["class_map"] if row["class_id"] != 255]
    categories = Categories.from_json(
        [
            {"id": row["class_id"], "name": row["class_name"],
             "isthing": int(row["class_name"] in ("car", "person", "sign"))}
            for row in rows
        ]
    )  # fmt: skip
    table = [(id, int(classes[ids == id][0]), 0.9, False) for id in np.unique(ids[ids > 0]).tolist()]
    sink = McapSink(tmp_path / "mine.mcap")
    sink.write(frame(PanopticMap.from_table(ids, table, categories), seconds=10.0000005))
    assert not (tmp_path / "mine.mcap").exists()  # whole or not at all
    sink.close()
    mine = messages(tmp_path / "mine.mcap")
    for topic, content in kept.items():
        ((time, message),) = mine[topic]
        assert time == 10_000_000_500
        if topic == "/segmentation/label_info":
            content["threshold"] = message["threshold"]
        assert message == content


def test_a_log_has_every_frame_in_order_and_the_images(tmp_path: Path) -> None:
    sink = McapSink(tmp_path / "a.mcap", live=True)
    for number in range(3):
        sink.write(frame(a_map(), number, number / 10, 1000.0 + number))
    sink.close()
    found = messages(tmp_path / "a.mcap")
    assert set(found) == set(TOPICS.values())
    assert [time for time, _ in found[TOPICS["ids"]]] == [1000 * 10**9, 1001 * 10**9, 1002 * 10**9]
    picture = found[TOPICS["image"]][0][1]
    assert picture["format"] == "jpeg" and Image.open(io.BytesIO(picture["data"])).size == (3, 2)
    # ids of classes above 254 need 16 bits
    classes = found[TOPICS["classes"]][0][1]
    assert classes["encoding"] == "mono16"
    assert np.frombuffer(classes["data"], "<u2").tolist() == [65535, 3, 3, 300, 300, 4]


def test_ids_that_need_more_than_16_bits_are_counted_anew() -> None:
    head = ros2.header(0)
    panoptic = a_map(car=70_000)
    assert np.frombuffer(ros2.id_image(panoptic, head)["data"], "<u2").tolist() == [0, 1, 1, 2, 2, 3]
    assert [row["id"] for row in ros2.detections(panoptic, head)["detections"]] == ["1", "3"]
    wide = Categories.from_json([{"id": 70_000, "name": "car", "isthing": 1}])
    with pytest.raises(CategoryError, match="16 bits"):
        ros2.label_info(wide, head)


def test_rerun_has_frames_classes_objects_and_boxes(tmp_path: Path) -> None:
    sink = RerunSink(tmp_path / "a.rrd")
    for number in range(3):
        sink.write(frame(a_map(), number, number / 10, 1000.0 + number))
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.rrd"]
    columns: dict[str, list[Any]] = {}
    for chunk in RrdReader(str(tmp_path / "a.rrd")).stream():
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            columns.setdefault(f"{chunk.entity_path}:{name}", []).extend(batch.column(name).to_pylist())
    assert columns["/image:frame"] == [0, 1, 2]
    buffers = [bytes(one[0]) for one in columns["/image/classes:SegmentationImage:buffer"]]
    assert [np.frombuffer(one, np.uint16).tolist() for one in buffers] == [[65535, 3, 3, 300, 300, 4]] * 3
    buffers = [bytes(one[0]) for one in columns["/image/ids:SegmentationImage:buffer"]]
    assert np.frombuffer(buffers[0], np.uint16).tolist() == [0, 7, 7, 9, 9, 11]
    assert columns["/image/things:Boxes2D:labels"] == [["car 7", "person 11"]] * 3
    assert columns["/image/things:Boxes2D:centers"][0] == [[2.0, 0.5], [2.5, 1.5]]
    ((context,),) = columns["/image:AnnotationContext:context"]
    assert {row["class_id"]: row["class_description"]["info"]["label"] for row in context}[300] == "road"

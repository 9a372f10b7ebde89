"""The ROS 2 node: its parts that need no ROS, and the node itself against stand-ins for rclpy."""

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import pytest

import pansight
from pansight.categories import Categories
from pansight.formats import ros2
from pansight.panoptic import PanopticMap

PACKAGE = Path(__file__).parents[2] / "integrations" / "ros2" / "pansight_ros"
CLASSES = Categories.from_json(
    [{"id": 3, "name": "car", "isthing": 1}, {"id": 7, "name": "road", "isthing": 0}], name="mine"
)
HEADER = {"stamp": {"sec": 10, "nanosec": 500}, "frame_id": "camera"}


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The parts of the package that need no ROS."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    for name in ("images", "work"):
        importlib.import_module(f"pansight_ros.{name}")
    yield sys.modules["pansight_ros"]
    for name in [name for name in sys.modules if name.split(".")[0] == "pansight_ros"]:
        del sys.modules[name]


def a_map(ids: tuple[int, ...] = (0, 5, 5, 9)) -> PanopticMap:
    table = [(5, 0, 0.75, False), (9, 1, None, False)]
    return PanopticMap.from_table(np.array([ids], np.int32), table, CLASSES)


def image(encoding: str, pixels: np.ndarray, step: int = 0) -> SimpleNamespace:
    height, width = pixels.shape[:2]
    return SimpleNamespace(encoding=encoding, height=height, width=width, step=step, data=pixels.tobytes())


def test_images_of_all_usual_encodings_are_rgb(package: Any) -> None:
    rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    bgra = np.concatenate([rgb[..., ::-1], np.full((2, 3, 1), 255, np.uint8)], axis=2)
    to_rgb = package.images.to_rgb
    assert np.array_equal(to_rgb(image("rgb8", rgb)), rgb)
    assert np.array_equal(to_rgb(image("bgr8", rgb[..., ::-1].copy())), rgb)
    assert np.array_equal(to_rgb(image("bgra8", bgra)), rgb)
    assert np.array_equal(to_rgb(image("mono8", rgb[..., 0].copy())), np.repeat(rgb[..., :1], 3, axis=2))
    padded = np.zeros((2, 12), np.uint8)
    padded[:, :9] = rgb.reshape(2, 9)
    message = SimpleNamespace(encoding="rgb8", height=2, width=3, step=12, data=padded.tobytes())
    assert np.array_equal(to_rgb(message), rgb)


def test_images_that_cannot_be_read_are_named(package: Any) -> None:
    with pytest.raises(ValueError, match="'yuv422' is not read; use rgb8"):
        package.images.to_rgb(image("yuv422", np.zeros((1, 1, 2), np.uint8)))
    short = SimpleNamespace(encoding="rgb8", height=2, width=3, step=9, data=bytes(10))
    with pytest.raises(ValueError, match="10 bytes for 2 rows"):
        package.images.to_rgb(short)


def test_every_answer_has_the_stamp_of_its_image(package: Any) -> None:
    found = package.work.answers(a_map(), HEADER, 0.25)
    assert {name: one["header"] for name, one in found.items()} == dict.fromkeys(found, HEADER)
    assert found["classes"]["data"] == bytes([255, 3, 3, 7]) and found["classes"]["encoding"] == "mono8"
    assert np.frombuffer(found["ids"]["data"], "<u2").tolist() == [0, 5, 5, 9]
    assert found["label_info"]["threshold"] == 0.25
    (box,) = found["detections"]["detections"]
    assert box["id"] == "5" and box["results"][0]["hypothesis"] == {"class_id": "3", "score": 0.75}
    assert box["bbox"]["center"]["position"] == {"x": 2.0, "y": 0.5} and box["bbox"]["size_x"] == 2.0


def test_the_newest_image_wins_and_a_bad_one_does_not_end_it(package: Any) -> None:
    begun, go = threading.Event(), threading.Event()
    published: list[int] = []
    failed: list[str] = []

    def segment(pixels: np.ndarray) -> PanopticMap:
        begun.set()
        assert go.wait(10)
        if pixels[0, 0, 0] == 3:
            raise ValueError("a bad image")
        return a_map()

    worker = package.work.Worker(
        segment, lambda found: published.append(found["ids"]["header"]["stamp"]["sec"]), failed.append
    )
    for second in range(4):
        head = {"stamp": {"sec": second, "nanosec": 0}, "frame_id": ""}
        worker.take(np.full((1, 1, 3), second, np.uint8), head)
        if second == 0:
            assert begun.wait(10)
    go.set()
    worker.close()
    assert published == [0] and failed == ["ValueError: a bad image"] and worker.dropped == 2


class Message:
    """A stand-in for a message class of rclpy: fields by name, with their types."""

    fields: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        for name, kind in self.fields.items():
            slash = "/" in kind
            value: Any = MESSAGES[kind]() if slash and not kind.startswith("sequence") else None
            setattr(self, name, value)

    def get_fields_and_field_types(self) -> dict[str, str]:
        return dict(self.fields)


def message(**fields: str) -> type[Message]:
    return cast(type[Message], type("Any", (Message,), {"fields": fields}))


MESSAGES = {
    "builtin_interfaces/Time": message(sec="int32", nanosec="uint32"),
    "std_msgs/Header": message(stamp="builtin_interfaces/Time", frame_id="string"),
    "sensor_msgs/Image": message(
        header="std_msgs/Header", height="uint32", width="uint32", encoding="string", is_bigendian="uint8",
        step="uint32", data="sequence<uint8>",
    ),
    "vision_msgs/VisionClass": message(class_id="uint16", class_name="string"),
    "vision_msgs/LabelInfo": message(
        header="std_msgs/Header", class_map="sequence<vision_msgs/VisionClass>", threshold="float"
    ),
    "geometry_msgs/Point": message(x="double", y="double", z="double"),
    "geometry_msgs/Quaternion": message(x="double", y="double", z="double", w="double"),
    "geometry_msgs/Pose": message(position="geometry_msgs/Point", orientation="geometry_msgs/Quaternion"),
    "geometry_msgs/PoseWithCovariance": message(pose="geometry_msgs/Pose", covariance="double[36]"),
    "vision_msgs/ObjectHypothesis": message(class_id="string", score="double"),
    "vision_msgs/ObjectHypothesisWithPose": message(
        hypothesis="vision_msgs/ObjectHypothesis", pose="geometry_msgs/PoseWithCovariance"
    ),
    "vision_msgs/Point2D": message(x="double", y="double"),
    "vision_msgs/Pose2D": message(position="vision_msgs/Point2D", theta="double"),
    "vision_msgs/BoundingBox2D": message(center="vision_msgs/Pose2D", size_x="double", size_y="double"),
    "vision_msgs/Detection2D": message(
        header="std_msgs/Header", results="sequence<vision_msgs/ObjectHypothesisWithPose>",
        bbox="vision_msgs/BoundingBox2D", id="string",
    ),
    "vision_msgs/Detection2DArray": message(
        header="std_msgs/Header", detections="sequence<vision_msgs/Detection2D>"
    ),
}  # fmt: skip


class Node:
    """A stand-in for rclpy's node: remembers what was published and calls back."""

    def __init__(self, name: str) -> None:
        self.sent: dict[str, list[Any]] = {}
        self.qos: dict[str, Any] = {}
        self.errors: list[str] = []

    def declare_parameter(self, name: str, value: Any) -> SimpleNamespace:
        return SimpleNamespace(value="tiny" if name == "model" else value)

    def create_publisher(self, kind: type, topic: str, qos: Any) -> SimpleNamespace:
        self.qos[topic] = qos
        return SimpleNamespace(publish=self.sent.setdefault(topic, []).append)

    def create_subscription(self, kind: type, topic: str, call: Any, qos: Any) -> None:
        self.subscribed = (topic, call)

    def get_clock(self) -> Any:
        stamp = SimpleNamespace(sec=1, nanosec=2)
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: stamp))

    def get_logger(self) -> Any:
        return SimpleNamespace(error=lambda text, **_: self.errors.append(text))

    def destroy_node(self) -> None:
        pass


@pytest.fixture
def node_module(package: Any, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    modules: dict[str, dict[str, Any]] = {
        "rclpy": {"init": lambda args: None, "spin": lambda node: None, "try_shutdown": lambda: None},
        "rclpy.executors": {"ExternalShutdownException": type("Shutdown", (Exception,), {})},
        "rclpy.node": {"Node": Node},
        "rclpy.qos": {
            "QoSProfile": lambda **given: given,
            "DurabilityPolicy": SimpleNamespace(TRANSIENT_LOCAL="latched"),
            "ReliabilityPolicy": SimpleNamespace(RELIABLE="reliable"),
            "qos_profile_sensor_data": "sensor",
        },
    }
    for kind, found in MESSAGES.items():
        base, _, name = kind.partition("/")
        modules.setdefault(base, {})
        modules.setdefault(f"{base}.msg", {})[name] = found
    for name, content in modules.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return importlib.import_module("pansight_ros.node")


def test_the_node_publishes_maps_with_ids_that_last(
    node_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = SimpleNamespace(categories=CLASSES, predict=lambda pixels: a_map())
    monkeypatch.setattr(pansight, "load", lambda model, **_: segmenter)
    node = node_module.PanopticNode()
    (names,) = node.sent["~/label_info"]
    assert node.qos["~/label_info"]["durability"] == "latched"
    assert [(one.class_id, one.class_name) for one in names.class_map] == [
        (3, "car"), (7, "road"), (255, ros2.UNLABELED),
    ]  # fmt: skip
    topic, call = node.subscribed
    picture: Any = MESSAGES["sensor_msgs/Image"]()
    picture.header.stamp.sec, picture.header.stamp.nanosec, picture.header.frame_id = 10, 500, "front"
    picture.height, picture.width, picture.step, picture.encoding, picture.data = 1, 4, 12, "rgb8", bytes(12)
    call(picture)
    picture.encoding = "nv12"
    call(picture)
    node.destroy_node()
    assert topic == "image" and node.errors == [
        "encoding 'nv12' is not read; use rgb8, bgr8, rgba8, bgra8, mono8"
    ]
    (classes,), (ids,), (boxes,) = (node.sent[f"~/{name}"] for name in ("classes", "ids", "detections"))
    assert bytes(classes.data) == bytes([255, 3, 3, 7])
    assert (ids.header.stamp.sec, ids.header.stamp.nanosec, ids.header.frame_id) == (10, 500, "front")
    # by the tracker's numbers: road is 1 + its index, things come after all classes
    assert np.frombuffer(ids.data, "<u2").tolist() == [0, 3, 3, 2]
    (box,) = boxes.detections
    assert (box.id, box.bbox.center.position.x, box.results[0].hypothesis.score) == ("3", 2.0, 0.75)

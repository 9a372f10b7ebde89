"""The node: `image` in; `~/classes`, `~/ids`, `~/label_info` (latched) and `~/detections` out."""

from importlib import import_module
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, LabelInfo

import pansight
from pansight.formats import ros2
from pansight.video.tracking import Tracker
from pansight_ros.images import to_rgb
from pansight_ros.work import Worker

TYPES = {"classes": Image, "ids": Image, "label_info": LabelInfo, "detections": Detection2DArray}
LATCHED = QoSProfile(
    depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE
)
"""Whoever comes late still learns what the classes are called."""


class PanopticNode(Node):
    """Parameters: model, engine, device, track, threshold; see config/panoptic.yaml."""

    def __init__(self) -> None:
        super().__init__("panoptic")
        values = {"model": "yoso-photo", "engine": "auto", "device": "", "track": True, "threshold": 0.0}
        given = {name: self.declare_parameter(name, value).value for name, value in values.items()}
        segmenter = pansight.load(given["model"], engine=given["engine"], device=given["device"] or None)
        tracker = Tracker(segmenter.categories) if given["track"] else None
        self._topics = {
            name: self.create_publisher(kind, f"~/{name}", LATCHED if name == "label_info" else 5)
            for name, kind in TYPES.items()
        }

        def segment(image: Any) -> Any:
            panoptic = segmenter.predict(image)
            return panoptic if tracker is None else tracker.update(panoptic, image=image)

        self._worker = Worker(segment, self._publish, self.get_logger().error, given["threshold"])
        names = ros2.label_info(segmenter.categories, self._header(self.get_clock().now().to_msg(), "camera"))
        self._topics["label_info"].publish(ros2.filled(LabelInfo(), names, _empty))
        self.create_subscription(Image, "image", self._on_image, qos_profile_sensor_data)

    def _on_image(self, message: Image) -> None:
        try:
            image = to_rgb(message)
        except ValueError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        self._worker.take(image, self._header(message.header.stamp, message.header.frame_id))

    def _publish(self, found: dict[str, dict[str, Any]]) -> None:
        for name, content in found.items():
            self._topics[name].publish(ros2.filled(TYPES[name](), content, _empty))

    def destroy_node(self) -> None:
        self._worker.close()
        super().destroy_node()

    @staticmethod
    def _header(stamp: Any, frame_id: str) -> dict[str, Any]:
        return {"stamp": {"sec": stamp.sec, "nanosec": stamp.nanosec}, "frame_id": frame_id}


def _empty(kind: str) -> Any:
    """An empty message of a type such as vision_msgs/Detection2D."""
    package, _, name = kind.partition("/")
    return getattr(import_module(f"{package}.msg"), name)()


def main(arguments: list[str] | None = None) -> None:
    rclpy.init(args=arguments)
    node = PanopticNode()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()

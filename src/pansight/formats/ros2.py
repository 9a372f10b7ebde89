"""A panoptic map as ROS 2 messages, in plain dictionaries: what nodes publish and logs contain.

ROS has no message for segmentation. The usual ones (https://github.com/ros-perception/vision_msgs, 4.x):
a `sensor_msgs/Image` of class ids and one of object ids, `vision_msgs/LabelInfo` that names the
classes, and `vision_msgs/Detection2DArray` for the boxes, all with one stamp. `filled` puts such a dictionary
into a message of rclpy; no ROS is needed here.
"""

from array import array
from typing import Any

import numpy as np
from jaxtyping import Int32

from pansight.categories import Categories
from pansight.errors import CategoryError
from pansight.panoptic import PanopticMap

IMAGE, LABEL_INFO, DETECTIONS, COMPRESSED = (
    "sensor_msgs/msg/Image",
    "vision_msgs/msg/LabelInfo",
    "vision_msgs/msg/Detection2DArray",
    "sensor_msgs/msg/CompressedImage",
)
UNLABELED = "UNLABELED"
"""How LabelInfo calls the pixels of no class."""

_NO_CLASS_8, _NO_CLASS_16 = 255, 65535
_MOST_ID = 65534
"""The largest object id: 16 bits, of which 0 is not an object and 65535 stays free."""

_HEADER = """std_msgs/Header header
"""
_HEADER_PARTS = """MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""

_DEFINITIONS = {
    IMAGE: f"{_HEADER}uint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\n"
    + "uint32 step\nuint8[] data\n"
    + _HEADER_PARTS,
    COMPRESSED: f"{_HEADER}string format\nuint8[] data\n" + _HEADER_PARTS,
    LABEL_INFO: f"{_HEADER}vision_msgs/VisionClass[] class_map\nfloat32 threshold\n"
    + _HEADER_PARTS
    + "MSG: vision_msgs/VisionClass\nuint16 class_id\nstring class_name\n",
    DETECTIONS: f"{_HEADER}vision_msgs/Detection2D[] detections\n"
    + _HEADER_PARTS
    + """MSG: vision_msgs/Detection2D
std_msgs/Header header
vision_msgs/ObjectHypothesisWithPose[] results
vision_msgs/BoundingBox2D bbox
string id
MSG: vision_msgs/ObjectHypothesisWithPose
vision_msgs/ObjectHypothesis hypothesis
geometry_msgs/PoseWithCovariance pose
MSG: vision_msgs/ObjectHypothesis
string class_id
float64 score
MSG: geometry_msgs/PoseWithCovariance
geometry_msgs/Pose pose
float64[36] covariance
MSG: geometry_msgs/Pose
geometry_msgs/Point position
geometry_msgs/Quaternion orientation
MSG: geometry_msgs/Point
float64 x
float64 y
float64 z
MSG: geometry_msgs/Quaternion
float64 x
float64 y
float64 z
float64 w
MSG: vision_msgs/BoundingBox2D
vision_msgs/Pose2D center
float64 size_x
float64 size_y
MSG: vision_msgs/Pose2D
vision_msgs/Point2D position
float64 theta
MSG: vision_msgs/Point2D
float64 x
float64 y
""",
}


def definition(datatype: str) -> str:
    """The definition of a message with all that it contains, as MCAP's ROS 2 profile requires."""
    return _DEFINITIONS[datatype].replace("MSG:", f"{'=' * 80}\nMSG:")


def header(nanoseconds: int, frame_id: str = "camera") -> dict[str, Any]:
    """A header: nanoseconds since 1970, or since the beginning of a video."""
    sec, nanosec = divmod(nanoseconds, 1_000_000_000)
    return {"stamp": {"sec": sec, "nanosec": nanosec}, "frame_id": frame_id}


def class_numbers(categories: Categories) -> tuple[list[int], int]:
    """The class id of each category, and the one of unlabelled pixels: 255 where all fit 8 bits, else 65535.

    Class ids are the data set's. Raises CategoryError when one does not fit 16 bits.
    """
    numbers = [int(id) for id in categories.dataset_ids]
    if not all(0 <= number < _NO_CLASS_16 for number in numbers):
        raise CategoryError(
            f"{categories.name}: category ids must be 0..{_NO_CLASS_16 - 1} for ROS, which counts in 16 bits;"
            " renumber them"
        )
    return numbers, _NO_CLASS_8 if max(numbers) < _NO_CLASS_8 else _NO_CLASS_16


def class_image(panoptic: PanopticMap, head: dict[str, Any]) -> dict[str, Any]:
    """`sensor_msgs/Image`, mono8 or mono16, of class ids; see `class_numbers`."""
    numbers, none = class_numbers(panoptic.categories)
    table = np.array([none, *(numbers[segment.category] for segment in panoptic.segments)], np.int32)
    positions = panoptic.paint(list(range(1, len(panoptic.segments) + 1)))
    return _image(table[positions], head, wide=none == _NO_CLASS_16)


def object_numbers(panoptic: PanopticMap) -> list[int]:
    """The 16-bit id of each segment: its own where all fit, else its position from 1."""
    own = [segment.id for segment in panoptic.segments]
    return own if max(own, default=0) <= _MOST_ID else list(range(1, len(own) + 1))


def id_image(panoptic: PanopticMap, head: dict[str, Any]) -> dict[str, Any]:
    """`sensor_msgs/Image`, mono16, of object ids; 0 is not an object. See `object_numbers`."""
    return _image(panoptic.paint(object_numbers(panoptic)), head, wide=True)


def label_info(categories: Categories, head: dict[str, Any], threshold: float = 0.0) -> dict[str, Any]:
    """`vision_msgs/LabelInfo`: the name of each class id, and of the unlabelled pixels."""
    numbers, none = class_numbers(categories)
    names = [item.name for item in categories]
    rows = [*zip(numbers, names, strict=True), (none, UNLABELED)]
    return {
        "header": head,
        "class_map": [{"class_id": id, "class_name": name} for id, name in rows],
        "threshold": threshold,
    }


def detections(panoptic: PanopticMap, head: dict[str, Any]) -> dict[str, Any]:
    """`vision_msgs/Detection2DArray`: the box of each thing; its `id` is that in the id image, as text.

    Boxes go from edge to edge: the first pixel of an image has the centre (0.5, 0.5) and the size 1 x 1. The
    score of an object without one is 1.
    """
    numbers, _ = class_numbers(panoptic.categories)
    rows = []
    for segment, id in zip(panoptic.segments, object_numbers(panoptic), strict=True):
        if not panoptic.categories[segment.category].is_thing:
            continue
        x, y, width, height = segment.box
        score = 1.0 if segment.score is None else float(segment.score)
        hypothesis = {"class_id": str(numbers[segment.category]), "score": score}
        rows.append(
            {
                "header": head,
                "results": [{"hypothesis": hypothesis, "pose": _no_pose()}],
                "bbox": {
                    "center": {"position": {"x": x + width / 2, "y": y + height / 2}, "theta": 0.0},
                    "size_x": float(width),
                    "size_y": float(height),
                },
                "id": str(id),
            }
        )
    return {"header": head, "detections": rows}


def filled(message: Any, content: dict[str, Any], make: Any) -> Any:
    """A message of rclpy with the fields of `content`, nested ones and lists of messages too.

    `make` gives an empty message for a name such as "vision_msgs/Detection2D", as it stands in
    `message.get_fields_and_field_types()`.
    """
    types = message.get_fields_and_field_types()
    for name, value in content.items():
        if isinstance(value, dict):
            filled(getattr(message, name), value, make)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            kind = types[name].removeprefix("sequence<").split(",")[0].removesuffix(">")
            setattr(message, name, [filled(make(kind), one, make) for one in value])
        else:
            # rclpy looks at every single byte of anything but its own kind of array
            setattr(message, name, array("B", value) if isinstance(value, bytes) else value)
    return message


def _image(values: Int32[np.ndarray, "h w"], head: dict[str, Any], *, wide: bool) -> dict[str, Any]:
    height, width = values.shape
    return {
        "header": head,
        "height": height,
        "width": width,
        "encoding": "mono16" if wide else "mono8",
        "is_bigendian": 0,
        "step": width * (2 if wide else 1),
        "data": values.astype("<u2" if wide else np.uint8).tobytes(),
    }


def _no_pose() -> dict[str, Any]:
    position = {"x": 0.0, "y": 0.0, "z": 0.0}
    return {
        "pose": {"position": position, "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}},
        "covariance": [0.0] * 36,
    }

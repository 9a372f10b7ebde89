"""ros2 launch pansight_ros panoptic.launch.py image:=/camera/image_raw"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def generate_launch_description() -> LaunchDescription:
    settings = Path(get_package_share_directory("pansight_ros")) / "config" / "panoptic.yaml"
    node = Node(
        package="pansight_ros",
        executable="panoptic",
        name="panoptic",
        parameters=[str(settings)],
        remappings=[("image", LaunchConfiguration("image"))],
    )
    return LaunchDescription([DeclareLaunchArgument("image", default_value="/camera/image_raw"), node])

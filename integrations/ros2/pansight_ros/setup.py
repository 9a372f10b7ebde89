from setuptools import setup

setup(
    name="pansight_ros",
    version="0.1.0",
    packages=["pansight_ros"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/pansight_ros"]),
        ("share/pansight_ros", ["package.xml"]),
        ("share/pansight_ros/launch", ["launch/panoptic.launch.py"]),
        ("share/pansight_ros/config", ["config/panoptic.yaml"]),
    ],
    install_requires=["setuptools", "pansight"],
    entry_points={"console_scripts": ["panoptic = pansight_ros.node:main"]},
)

"""COCO instances, which hold no panoptic truth yet: recognised, so that the next step can be named."""

from collections.abc import Iterator
from pathlib import Path

from pansight.errors import DataError
from pansight.formats.coco_files import is_instances_file, read_json

_OTHERS = ("caption", "keypoint", "panoptic", "image_info")
"""Words in the names of COCO files that hold something else."""


def instances_advice(path: Path) -> str:
    """What to do with a JSON of COCO instances."""
    return f"{path}: COCO instances: run `pansight data convert {path} OUT`"


def find_instances(folder: Path) -> list[Path]:
    """The JSON files of COCO instances in a folder, as CVAT, Roboflow and COCO itself lay them out."""
    return [path for path in _candidates(folder) if _holds_instances(path)]


def _candidates(folder: Path) -> Iterator[Path]:
    patterns = ("*.json", "annotations/*.json", "*/_annotations.coco.json", "*/annotations/*.json")
    seen = set()
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path not in seen and not any(word in path.stem for word in _OTHERS):
                seen.add(path)
                yield path


def _holds_instances(path: Path) -> bool:
    try:
        return is_instances_file(read_json(path))
    except DataError:
        return False

"""A small, healthy panoptic set in files, for tests that damage it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.datatools.checking import Report, check_files, find_panoptic_files
from pansight.panoptic.ids import ids_to_rgb
from pansight.panoptic.regions import measure_regions

TABLE = [
    {"id": 1, "name": "person", "isthing": 1, "supercategory": "", "color": [220, 20, 60]},
    {"id": 3, "name": "car", "isthing": 1, "supercategory": "", "color": [0, 0, 142]},
    {"id": 149, "name": "road", "isthing": 0, "supercategory": "", "color": [128, 64, 128]},
    {"id": 187, "name": "sky-other-merged", "isthing": 0, "supercategory": "", "color": [70, 130, 180]},
]


def healthy_ids(seed: int) -> np.ndarray:
    """Sky above, road below, two persons and two cars; some void."""
    ids = np.zeros((24, 32), np.int32)
    ids[:10], ids[12:] = 70_000 + seed, 9
    ids[8:16, 3 : 6 + seed % 3], ids[8:16, 10:13] = 300, 301
    ids[14:20, 16:22], ids[15:19, 24:30] = 40, 41
    return ids


CATEGORY_OF = {300: 1, 301: 1, 40: 3, 41: 3, 9: 149}


class PanopticFolder:
    """A set of `count` images in `root`: panoptic_<split>.json, panoptic_<split>/, images/<split>/."""

    def __init__(self, root: Path, split: str = "val", count: int = 3, first: int = 0) -> None:
        self.root, self.json = root, root / f"panoptic_{split}.json"
        self.labels, self.pictures = root / f"panoptic_{split}", root / "images" / split
        self.labels.mkdir(parents=True)
        self.pictures.mkdir(parents=True)
        self.content: dict[str, Any] = {"images": [], "annotations": [], "categories": TABLE}
        for number in range(first, first + count):
            ids = healthy_ids(number)
            self.write_ids(number, ids)
            pixels = np.random.default_rng(number).integers(0, 256, (*ids.shape, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(self.pictures / f"{number}.png")
            self.content["images"].append(
                {"id": number, "file_name": f"{number}.png", "width": 32, "height": 24}
            )
            self.content["annotations"].append(
                {"image_id": number, "file_name": f"{number}.png", "segments_info": rows_of(ids)}
            )
        self.save()

    def segments(self, image: int) -> list[Any]:
        """The rows of `segments_info` of an image, to be changed."""
        rows = self.content["annotations"][image]["segments_info"]
        assert isinstance(rows, list)
        return rows

    def write_ids(self, number: int, ids: np.ndarray) -> None:
        """Write an id picture."""
        Image.fromarray(ids_to_rgb(ids)).save(self.labels / f"{number}.png")

    def save(self) -> None:
        """Write the JSON."""
        self.json.write_text(json.dumps(self.content))

    def check(self, **options: Any) -> Report:
        """What the doctor says of it, as it is in the files now."""
        return check_files(find_panoptic_files(self.json), **options)


def rows_of(ids: np.ndarray) -> list[dict[str, Any]]:
    """Correct `segments_info` of healthy ids."""
    regions = measure_regions(ids)
    return [
        {"id": id, "category_id": CATEGORY_OF.get(id, 187), "iscrowd": 0, "area": area, "bbox": box}
        for id, area, box in zip(
            regions.ids.tolist(), regions.areas.tolist(), regions.boxes.tolist(), strict=True
        )
    ]


@pytest.fixture
def folder(tmp_path: Path) -> PanopticFolder:
    """A healthy set of three images."""
    return PanopticFolder(tmp_path / "set")


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., PanopticFolder]:
    """Makes healthy sets, several splits of one data set if asked again."""
    return lambda *arguments, **options: PanopticFolder(tmp_path / "set", *arguments, **options)

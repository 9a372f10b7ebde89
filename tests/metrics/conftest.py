"""A small category set, and COCO panoptic files made of small arrays."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories, Category
from pansight.codec import ids_to_rgb

ROWS = [
    {"id": 1, "name": "person", "isthing": 1},
    {"id": 3, "name": "car", "isthing": 1},
    {"id": 92, "name": "banner", "isthing": 0},
    {"id": 184, "name": "tree", "isthing": 0},
]

# (map of ids, segments_info); the file is named after the image id unless the third entry says else.
Annotation = tuple[Any, ...]
WriteSet = Callable[..., Path]


@pytest.fixture(scope="session")
def categories() -> Categories:
    """Person (id 1) and car (3) are things, banner (92) and tree (184) stuff."""
    return Categories(
        Category(str(row["name"]), bool(row["isthing"]), int(str(row["id"])), (0, 0, 0)) for row in ROWS
    )


@pytest.fixture
def write_set(tmp_path: Path) -> WriteSet:
    """Write {image id: (ids, segments_info)} as NAME.json and NAME/*.png; give the path of the JSON."""

    def write(name: str, images: dict[int | str, Annotation], **content: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        annotations = []
        for image_id, (ids, segments, *_) in images.items():
            Image.fromarray(ids_to_rgb(np.asarray(ids))).save(folder / f"{image_id}.png")
            annotations.append(
                {"image_id": image_id, "file_name": f"{image_id}.png", "segments_info": segments}
            )
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"annotations": annotations, "categories": ROWS, **content}))
        return path

    return write

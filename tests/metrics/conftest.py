"""A small category set, and COCO panoptic files made of small arrays."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories, Category
from pansight.panoptic import PanopticMap
from pansight.panoptic.ids import ids_to_rgb

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


MakePair = Callable[..., tuple[PanopticMap, PanopticMap]]


@pytest.fixture(scope="session")
def make_pair(categories: Categories) -> MakePair:
    """A prediction with scores and its truth, from a seed: boxes on void, some of them crowds; objects are
    moved, cut, joined, taken for others, missed and made up.
    """

    def make(seed: int, height: int = 24, width: int = 32) -> tuple[PanopticMap, PanopticMap]:
        rng = np.random.default_rng(seed)

        def paint(ids: np.ndarray, names: list[int]) -> None:
            for id in names:
                y, x = rng.integers(height), rng.integers(width)
                h, w = rng.integers(1, height // 2 + 1), rng.integers(1, width // 2 + 1)
                ids[y : y + h, x : x + w] = id

        truth = np.zeros((height, width), dtype=np.int32)
        names = rng.choice(2**24 - 1, rng.integers(1, 10), replace=False) + 1
        truth[: height // 2 * int(rng.integers(3))] = names[0]
        paint(truth, names.tolist())
        rows = [(int(id), int(rng.integers(4)), None, bool(rng.random() < 0.15)) for id in names]
        predicted = np.roll(truth, rng.integers(-1, 2, 2), (0, 1))
        for id in names[rng.random(len(names)) < 0.15]:
            predicted[predicted == id] = rng.choice([0, *names])
        fresh = (rng.choice(2**24 - 1, 4, replace=False) + 1).tolist()
        half = predicted[:, : width // 2]
        half[half == rng.choice(names)] = fresh[0]
        paint(predicted, fresh[1 : rng.integers(1, 5)])
        table = {id: category for id, category, _, _ in rows if rng.random() < 0.8}
        return (
            PanopticMap.from_table(
                predicted,
                [
                    (int(id), table.get(int(id), int(rng.integers(4))), float(rng.integers(5)) / 4)
                    for id in np.unique(predicted[predicted > 0])
                ],
                categories,
            ),
            PanopticMap.from_table(truth, rows, categories),
        )

    return make


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

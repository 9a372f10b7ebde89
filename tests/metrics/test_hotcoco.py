"""hotcoco, an evaluator that others wrote, as a second judge of panoptic quality: random sets, to the bit."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hotcoco import panoptic as judge
from PIL import Image

from pansight.metrics import EvaluationWarning, evaluate_coco

CATEGORIES = [
    {"id": 10 * number + 3, "name": f"category {number}", "isthing": int(number < 4)} for number in range(6)
]


def write_side(
    folder: Path, name: str, maps: list[np.ndarray], kinds: list[dict[int, int]], crowd: bool
) -> Path:
    """One side of a data set: PNG files and their JSON."""
    (folder / name).mkdir(parents=True)
    annotations: list[dict[str, Any]] = []
    for number, (ids, categories) in enumerate(zip(maps, kinds, strict=True), 1):
        color = np.stack((ids & 255, ids >> 8 & 255, ids >> 16), axis=-1).astype(np.uint8)
        Image.fromarray(color).save(folder / name / f"{number}.png")
        segments = []
        for one in np.unique(ids[ids > 0]).tolist():
            segment = {
                "id": one,
                "category_id": categories[one],
                "area": int((ids == one).sum()),
                "bbox": [0, 0, 1, 1],
            }
            # crowds are truth's, and things'
            segment["iscrowd"] = int(crowd and one % 7 == 0 and categories[one] < 40)
            segments.append(segment)
        annotations.append({"image_id": number, "file_name": f"{number}.png", "segments_info": segments})
    content = {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "height": 40, "width": 50} for n in range(1, len(maps) + 1)
        ],
        "annotations": annotations,
        "categories": CATEGORIES,
    }
    file = folder / f"{name}.json"
    file.write_text(json.dumps(content))
    return file


def random_side(draws: np.random.Generator, truth: bool) -> tuple[np.ndarray, dict[int, int]]:
    """A map of rectangles over void, and the category of each id."""
    ids = np.zeros((40, 50), dtype=np.int64)
    kinds: dict[int, int] = {}
    for number in range(1, int(draws.integers(3, 14))):
        top, left = int(draws.integers(0, 36)), int(draws.integers(0, 46))
        one = number * (1 if truth else 301)
        ids[top : top + int(draws.integers(4, 30)), left : left + int(draws.integers(4, 40))] = one
        kinds[one] = int(CATEGORIES[int(draws.integers(0, 6))]["id"])  # type: ignore[call-overload]
    return ids, kinds


@pytest.mark.parametrize("seed", range(6))
def test_two_evaluators_agree(seed: int, tmp_path: Path) -> None:
    draws = np.random.default_rng(seed)
    truths: list[tuple[Any, dict[int, int]]] = []
    predictions: list[tuple[Any, dict[int, int]]] = []
    for _ in range(5):
        ids, kinds = random_side(draws, truth=True)
        truths.append((ids, kinds))
        # the truth moved a little, with some categories changed, and something of its own
        moved = np.roll(ids, int(draws.integers(-3, 4)), axis=1) * 301
        changed: dict[int, Any] = {
            301 * one: (CATEGORIES[0]["id"] if draws.random() < 0.2 else kind) for one, kind in kinds.items()
        }
        other, others = random_side(draws, truth=False)
        mixed = np.where((draws.random((40, 50)) < 0.9) & (moved > 0), moved, other * 1000)
        predictions.append((mixed, changed | {1000 * one: kind for one, kind in others.items()}))
    truth = write_side(tmp_path, "truth", [ids for ids, _ in truths], [kinds for _, kinds in truths], True)
    found = write_side(
        tmp_path, "found", [ids for ids, _ in predictions], [kinds for _, kinds in predictions], False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        ours = evaluate_coco(truth, found).to_json()
    theirs = judge.pq_compute(truth, found, tmp_path / "truth", tmp_path / "found")
    for mine, their in (("all", "All"), ("things", "Things"), ("stuff", "Stuff")):
        assert ours[mine]["n"] == theirs[their]["n"]
        for key in ("pq", "sq", "rq"):
            assert ours[mine][key] == pytest.approx(theirs[their][key], abs=1e-12), (mine, key)
    assert 0 < ours["all"]["pq"] < 1

"""Panoptic quality of files in COCO panoptic format, whatever tool wrote them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

from pansight.categories import Categories, Category
from pansight.coco_files import picture_folder, read_ids, read_json
from pansight.errors import CategoryError, DataError, DataProblemsError
from pansight.metrics.coco_segments import check_pixels_of_prediction, read_prediction, read_truth
from pansight.metrics.overlaps import count_overlaps
from pansight.metrics.panoptic_quality import PanopticQuality
from pansight.metrics.remarks import Remarks
from pansight.metrics.results import PanopticQualityResult

PathLike = str | os.PathLike[str]


class _Side(NamedTuple):
    """One annotation of one JSON: where its picture is, and what its `segments_info` says."""

    picture: Path
    segments_info: list[Any]
    name: str


def evaluate_coco(
    gt_json: PathLike,
    pred_json: PathLike,
    gt_folder: PathLike | None = None,
    pred_folder: PathLike | None = None,
    exact: bool = True,
    progress: Callable[[int, int], None] | None = None,
    categories: Categories | None = None,
) -> PanopticQualityResult:
    """Score predictions against the truth, both as COCO panoptic JSON + PNG of ids; nothing is written.

    The folders of the PNG default to those beside the JSON files, named like them without the ending.
    `exact`: the reference's answer, quirks included (see `PanopticQuality`). `progress` is called with
    (images done, images in all). `categories`: for truth whose JSON has none. Images are read one pair at a
    time.

    Every image is checked before anything is answered: DataProblemsError lists all problems found, by file.
    That there is nothing to score (no annotations, or no segment anywhere) is one as well.
    """
    problems: list[str] = []
    remarks = Remarks()
    contents = []
    for path in (gt_json, pred_json):
        try:
            contents.append(read_json(path))
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise _refusal(problems)
    truth, prediction = (content["annotations"] for content in contents)
    if categories is None:
        categories = _categories_of(gt_json, contents[0].get("categories"), problems)
    if categories is None:
        # The pictures are to be checked all the same, with any category taken for known.
        categories = _mentioned_categories([*truth, *prediction])
    pairs = _pair_up(
        (truth, gt_json, picture_folder(gt_json, gt_folder)),
        (prediction, pred_json, picture_folder(pred_json, pred_folder)),
        problems,
        remarks,
    )
    quality = PanopticQuality(categories, exact=exact)
    for done, (true, predicted) in enumerate(pairs, start=1):
        problems += _score(quality, true, predicted)
        if progress is not None:
            progress(done, len(pairs))
    quality.remarks.merge(remarks)
    if not problems and not quality.counted:
        problems.append(f"{gt_json}: nothing to score: no segment of a known category in truth or prediction")
    if problems:
        raise _refusal(problems)
    return quality.compute()


def _categories_of(path: PathLike, rows: Any, problems: list[str]) -> Categories | None:
    """The categories of the truth. Their names do not matter here, so they may be missing or not unique."""
    if not isinstance(rows, list) or not rows:
        problems.append(f'{path}: no list "categories" in it; add it')
        return None
    named = []
    taken = set()
    for row in rows:
        if isinstance(row, dict) and "id" in row:
            name = str(row.get("name") or f"category {row['id']}")
            row = {**row, "name": f"{name} ({row['id']})" if name in taken else name}
            taken.add(row["name"])
        named.append(row)
    try:
        return Categories.from_json(named, name=str(path))
    except (CategoryError, TypeError) as error:
        problems.append(f"{path}: {error}")
        return None


def _mentioned_categories(annotations: list[Any]) -> Categories:
    """A category for every id that a segment speaks of."""
    ids = set()
    for annotation in annotations:
        rows = annotation.get("segments_info") if isinstance(annotation, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and isinstance(row.get("category_id"), int):
                ids.add(int(row["category_id"]))
    return Categories(Category(f"category {id}", False, id, (0, 0, 0)) for id in sorted(ids))


def _pair_up(
    truth: tuple[list[Any], PathLike, Path],
    prediction: tuple[list[Any], PathLike, Path],
    problems: list[str],
    remarks: Remarks,
) -> list[tuple[_Side | None, _Side | None]]:
    """Both sides of every true image; None for a side that is missing or unusable.

    `truth`, `prediction`: annotations, the JSON they come from, the folder of their pictures.
    """
    true_annotations, true_json, true_folder = truth
    annotations, json, folder = prediction
    predictions = {}
    for image_id, annotation in _with_image_id(annotations, json, problems):
        if image_id in predictions:
            remarks.add(
                "repeated image", f"{json}: image {image_id!r} is listed again; the last entry counts"
            )
        predictions[image_id] = annotation
    pairs = []
    seen = set()
    for image_id, annotation in _with_image_id(true_annotations, true_json, problems):
        if image_id in seen:
            remarks.add(
                "repeated image", f"{true_json}: image {image_id!r} is listed again; every entry counts"
            )
        seen.add(image_id)
        true = _side(annotation, image_id, true_json, true_folder, problems)
        predicted = None
        if image_id in predictions:
            predicted = _side(predictions[image_id], image_id, json, folder, problems)
        else:
            problems.append(f"{json}: no prediction for image {image_id!r}{_twin(image_id, predictions)}")
        pairs.append((true, predicted))
    for image_id in (one for one in predictions if one not in seen):
        remarks.add("extra prediction", f"{json}: image {image_id!r} is not in the truth; it is ignored")
    return pairs


def _score(quality: PanopticQuality, true: _Side | None, predicted: _Side | None) -> list[str]:
    """Score one pair of pictures, or say all that is wrong with what there is of it."""
    problems: list[str] = []
    true_map = _read(true, problems)
    predicted_map = _read(predicted, problems)
    if true is not None and predicted is not None and true_map is not None and predicted_map is not None:
        try:
            quality.update_coco(
                predicted_map,
                predicted.segments_info,
                true_map,
                true.segments_info,
                predicted.name,
                true.name,
            )
        except DataProblemsError as error:
            problems += error.problems
        return problems
    if true is not None:
        read_truth(true.segments_info, quality.categories, true.name, problems, Remarks())
    if predicted is not None:
        table = read_prediction(
            predicted.segments_info, quality.categories, predicted.name, problems, Remarks()
        )
        if predicted_map is not None:
            overlaps = count_overlaps(predicted_map, predicted_map)
            check_pixels_of_prediction(table, overlaps, predicted.name, problems, Remarks())
    return problems


def _read(side: _Side | None, problems: list[str]) -> Int32[np.ndarray, "h w"] | None:
    if side is None:
        return None
    try:
        return read_ids(side.picture)
    except DataError as error:
        problems.append(str(error))
        return None


def _with_image_id(
    annotations: list[Any], path: PathLike, problems: list[str]
) -> Iterator[tuple[int | str, dict[str, Any]]]:
    for position, annotation in enumerate(annotations):
        image_id = annotation.get("image_id") if isinstance(annotation, dict) else None
        if isinstance(image_id, int | str):
            yield image_id, annotation
        else:
            problems.append(f"{path}: annotation {position} has no image_id that is a number or a text")


def _side(
    annotation: dict[str, Any], image_id: int | str, path: PathLike, folder: Path, problems: list[str]
) -> _Side | None:
    file_name, segments_info = annotation.get("file_name"), annotation.get("segments_info")
    if not isinstance(file_name, str):
        problems.append(f"{path}: image {image_id!r} has no file_name")
    if not isinstance(segments_info, list):
        problems.append(f"{path}: image {image_id!r} has no list segments_info")
    if not isinstance(file_name, str) or not isinstance(segments_info, list):
        return None
    picture = folder / file_name
    return _Side(picture, segments_info, f"{picture} (image {image_id!r} of {Path(path).name})")


def _twin(image_id: int | str, predictions: dict[Any, Any]) -> str:
    """A hint where an id is a number in one file and the same text in the other."""
    for twin in (
        str(image_id),
        int(image_id) if isinstance(image_id, str) and image_id.isdecimal() else None,
    ):
        if twin in predictions:
            return f" (there is one for {twin!r}: number and text are different ids)"
    return ""


def _refusal(problems: list[str]) -> DataProblemsError:
    # The same thing may be met twice, such as one file that serves two images.
    unique = list(dict.fromkeys(problems))
    count = f"{len(unique)} problems" if len(unique) > 1 else "1 problem"
    return DataProblemsError(f"{count} found; nothing was scored", unique)

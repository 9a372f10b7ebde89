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
    segments_info: Any
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
    contents = {}
    for path in (gt_json, pred_json):
        try:
            contents[path] = read_json(path)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise _refusal(problems)
    truth, prediction = contents[gt_json]["annotations"], contents[pred_json]["annotations"]
    if categories is None:
        try:
            categories = Categories.from_json(contents[gt_json].get("categories") or [], name=str(gt_json))
            if not categories:
                raise CategoryError(f'{gt_json}: no list "categories" in it; add it, or pass categories')
        except (CategoryError, TypeError) as error:
            problems.append(str(error))
            # The pictures are to be checked all the same, with any category taken for known.
            categories = _mentioned_categories([*truth, *prediction])

    quality = PanopticQuality(categories, exact=exact)
    truth_folder, prediction_folder = (
        picture_folder(gt_json, gt_folder),
        picture_folder(pred_json, pred_folder),
    )
    if not truth:
        problems.append(f"{gt_json}: no annotations in it, so there is nothing to score")
    predictions = _by_image(prediction, pred_json, problems, remarks)
    seen = set()
    pairs: list[tuple[_Side | None, _Side | None]] = []
    for position, annotation in enumerate(truth):
        image_id = _image_id(annotation, position, gt_json, problems)
        if image_id is None:
            continue
        if image_id in seen:
            remarks.add(
                "repeated image", f"{gt_json}: image {image_id!r} is listed more than once; each entry counts"
            )
        seen.add(image_id)
        match = predictions.get(image_id)
        if match is None:
            problems.append(
                f"{pred_json}: no prediction for image {image_id!r}{_twin(image_id, predictions)}"
            )
        pairs.append(
            (
                _side(annotation, image_id, gt_json, truth_folder, problems),
                _side(match, image_id, pred_json, prediction_folder, problems) if match else None,
            )
        )
    for image_id in predictions:
        if image_id not in seen:
            remarks.add(
                "extra prediction", f"{pred_json}: image {image_id!r} is not in the truth; it is ignored"
            )

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


def _by_image(
    annotations: list[Any], path: PathLike, problems: list[str], remarks: Remarks
) -> dict[Any, dict[str, Any]]:
    """The predictions by image id, the last one of an image winning."""
    found: dict[Any, dict[str, Any]] = {}
    for position, annotation in enumerate(annotations):
        image_id = _image_id(annotation, position, path, problems)
        if image_id is None:
            continue
        if image_id in found:
            remarks.add(
                "repeated image",
                f"{path}: image {image_id!r} is listed more than once; the last entry counts",
            )
        found[image_id] = annotation
    return found


def _image_id(annotation: Any, position: int, path: PathLike, problems: list[str]) -> int | str | None:
    image_id = annotation.get("image_id") if isinstance(annotation, dict) else None
    if isinstance(image_id, (int, float, str)):
        return image_id  # type: ignore[return-value]  # 1.0 is as good a key as 1
    problems.append(f"{path}: annotation {position} has no image_id that is a number or a text")
    return None


def _side(
    annotation: dict[str, Any], image_id: int | str, path: PathLike, folder: Path, problems: list[str]
) -> _Side | None:
    file_name = annotation.get("file_name")
    if not isinstance(file_name, str) or "segments_info" not in annotation:
        missing = "segments_info" if isinstance(file_name, str) else "file_name"
        problems.append(f"{path}: the annotation of image {image_id!r} lacks {missing}")
        return None
    picture = folder / file_name
    return _Side(picture, annotation["segments_info"], f"{picture} (image {image_id!r} of {Path(path).name})")


def _twin(image_id: int | str, predictions: dict[Any, Any]) -> str:
    """A hint where an id is a number in one file and the same text in the other."""
    for twin in (
        str(image_id),
        int(image_id) if isinstance(image_id, str) and image_id.isdecimal() else None,
    ):
        if twin in predictions:
            return f" (there is one for {twin!r}: number and text are different ids)"
    return ""


def _mentioned_categories(annotations: list[Any]) -> Categories:
    def ids() -> Iterator[int]:
        for annotation in annotations:
            rows = annotation.get("segments_info") if isinstance(annotation, dict) else None
            for row in rows if isinstance(rows, list) else ():
                if isinstance(row, dict) and isinstance(row.get("category_id"), int):
                    yield row["category_id"]

    return Categories(Category(str(id), False, id, (0, 0, 0)) for id in sorted({int(id) for id in ids()}))


def _refusal(problems: list[str]) -> DataProblemsError:
    # The same thing may be met twice, such as one file that serves two images.
    unique = list(dict.fromkeys(problems))
    count = f"{len(unique)} problems" if len(unique) > 1 else "1 problem"
    return DataProblemsError(f"{count} found; nothing was scored", unique)

"""Which prediction belongs to which truth, by the JSON files of two sets in COCO panoptic format."""

import os
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pansight.categories import Categories, Category
from pansight.errors import CategoryError, DataError
from pansight.formats.coco_files import id_picture_path, is_instances_file, picture_folder, read_json
from pansight.metrics.remarks import Remarks

PathLike = str | os.PathLike[str]


class Side(NamedTuple):
    """One annotation of a JSON: where its image is, what its `segments_info` says, its name in messages.

    `lost`: the folder of all images is missing, and a problem says so.
    """

    picture: Path
    segments_info: list[Any]
    name: str
    lost: bool = False


class Pair(NamedTuple):
    """Truth and prediction of one image; None for a side that is missing or unusable.

    `name`: the file name of the image, or of its ids where the truth lists no images.
    """

    truth: Side | None
    prediction: Side | None
    name: str


class Paired(NamedTuple):
    """Two sets, paired: one entry for every annotation of the truth, in its order.

    `problems` says, a line each, by file, all that is wrong in the JSON files; `remarks` what looks odd.
    Where the truth's categories are unusable, `categories` has every id that is mentioned, so that the rest
    can still be checked.
    """

    categories: Categories
    pairs: Sequence[Pair]
    problems: Sequence[str]
    remarks: Remarks


class _Set(NamedTuple):
    """A JSON and its annotations by the key that pairs them; the folder of its images."""

    json: PathLike
    folder: Path
    names: dict[Any, str]
    by_name: bool

    def keyed(
        self, annotations: list[Any], problems: list[str]
    ) -> Iterator[tuple[Hashable, str, dict[str, Any]]]:
        """Key, how messages call it, and annotation, of all that have one."""
        for position, annotation in enumerate(annotations):
            image_id = annotation.get("image_id") if isinstance(annotation, dict) else None
            if not isinstance(image_id, int | str):
                problems.append(
                    f"{self.json}: annotation {position} has no image_id that is a number or a text"
                )
                continue
            stem = Path(self.name(image_id, annotation)).stem
            if self.by_name and not stem:
                problems.append(f"{self.json}: image {image_id!r} has no file_name")
                continue
            yield (stem, f"{stem!r}", annotation) if self.by_name else (image_id, f"{image_id!r}", annotation)

    def name(self, image_id: int | str, annotation: dict[str, Any]) -> str:
        """The file name of the image; of the ids where no image is listed; "" where neither is."""
        name = self.names.get(image_id, annotation.get("file_name"))
        return name if isinstance(name, str) else ""

    def side(self, annotation: dict[str, Any], problems: list[str]) -> Side | None:
        """What is to be read for an annotation; None, and why in `problems`, where it does not say so."""
        image_id = annotation["image_id"]
        file_name, segments_info = annotation.get("file_name"), annotation.get("segments_info")
        if not isinstance(file_name, str):
            problems.append(f"{self.json}: image {image_id!r} has no file_name")
        if not isinstance(segments_info, list):
            problems.append(f"{self.json}: image {image_id!r} has no list segments_info")
        if not isinstance(file_name, str) or not isinstance(segments_info, list):
            return None
        picture = id_picture_path(self.folder, file_name)
        return Side(picture, segments_info, f"{picture} (image {image_id!r} of {Path(self.json).name})")


def pair_files(
    gt_json: PathLike,
    pred_json: PathLike,
    gt_folder: PathLike | None = None,
    pred_folder: PathLike | None = None,
    categories: Categories | None = None,
    by_name: bool = False,
    categories_by_name: bool = False,
) -> Paired | list[str]:
    """Pair the annotations of two JSON files by image id; or just the problems, where one is unreadable.

    The folders of the PNGs default to those next to the JSON files, named like them without the ending.
    `categories`: for truth whose JSON has none. `by_name`: pair by the file names of the images (of the
    ids, in a JSON that lists no images), folders and endings aside, because many tools number images
    themselves. `categories_by_name`: the category ids of the predictions mean what the predictions' own JSON
    calls them, found in the truth by name. Of repeated predictions the last counts;
    repeated truth counts each time.
    """
    problems: list[str] = []
    contents = []
    for path in (gt_json, pred_json):
        try:
            content = read_json(path)
            if is_instances_file(content):
                problems.append(f"{path}: COCO instances: run `pansight data convert {path} OUT`")
            contents.append(content)
        except DataError as error:
            problems.append(str(error))
    if problems:
        return problems
    annotations = [content["annotations"] for content in contents]
    if categories is None:
        hint = "add it"
        if contents[1].get("categories"):
            hint += f", or swap the two files: {pred_json} has one"
        categories = categories_of(gt_json, contents[0].get("categories"), problems, hint)
    if categories is None:
        categories = mentioned_categories([*annotations[0], *annotations[1]])
    truth, prediction = (
        _Set(path, picture_folder(path, folder), _picture_names(content), by_name)
        for path, folder, content in zip(
            (gt_json, pred_json), (gt_folder, pred_folder), contents, strict=True
        )
    )
    remarks = Remarks()
    if os.path.realpath(gt_json) == os.path.realpath(pred_json):
        remarks.add("same file", f"{gt_json} is given as both truth and prediction; give two different files")
    predictions = {}
    own = contents[1].get("categories")
    translation = _translation(own, categories, pred_json, problems) if categories_by_name else {}
    if not categories_by_name:
        _compare_numbering(categories, own, pred_json, remarks)
    _look_for_scores(gt_json, annotations[0], remarks)
    for key, label, annotation in prediction.keyed(annotations[1], problems):
        annotation = _translated(annotation, translation) if translation else annotation
        if key in predictions:
            remarks.add(
                "repeated image", f"{pred_json}: image {label} is listed again; the last entry counts"
            )
        predictions[key] = annotation
    pairs = []
    seen = set()
    for key, label, annotation in truth.keyed(annotations[0], problems):
        if key in seen:
            remarks.add("repeated image", f"{gt_json}: image {label} is listed again; every entry counts")
        seen.add(key)
        true, predicted = truth.side(annotation, problems), None
        if key in predictions:
            predicted = prediction.side(predictions[key], problems)
        else:
            hint = "" if by_name else _twin(key, predictions)
            problems.append(f"{pred_json}: no prediction for image {label}{hint}")
        pairs.append(Pair(true, predicted, truth.name(annotation["image_id"], annotation)))
    for key in (one for one in predictions if one not in seen):
        remarks.add("extra prediction", f"{pred_json}: image {key!r} is not in the truth; it is ignored")
    for side, folder in (("truth", truth.folder), ("prediction", prediction.folder)):
        pairs = _without_folder(pairs, side, folder, problems)
    return Paired(categories, pairs, problems, remarks)


def _names_of(rows: Any) -> dict[int, str]:
    """The names of the categories in a JSON by id, as far as there are some."""
    return {
        row["id"]: str(row["name"]).strip()
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict) and isinstance(row.get("id"), int) and row.get("name")
    }


def _compare_numbering(categories: Categories, rows: Any, path: PathLike, remarks: Remarks) -> None:
    """Remark where the predictions name the ids otherwise than the truth: ids are what is scored."""
    own = {one.dataset_id: one.name for one in categories}
    differing = [
        f"id {id} is {name!r} there, {own[id]!r} in the truth"
        for id, name in _names_of(rows).items()
        if id in own and _plain(name) != _plain(own[id])
    ]
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        remarks.add(
            "other numbering",
            f"{path}: {'; '.join(differing[:3])}{more}; ids were scored as they are, "
            "--match-categories name goes by the names",
        )


def _translation(
    rows: Any, categories: Categories, path: PathLike, problems: list[str]
) -> dict[int, int | str]:
    """The truth's id for each id of the predictions, by name; a text, which no id is, where it has none."""
    names = _names_of(rows)
    if not names:
        problems.append(f'{path}: no list "categories" with names in it; categories cannot be found by name')
    known = {_plain(one.name): one.dataset_id for one in categories}
    return {id: known.get(_plain(name), name) for id, name in names.items()}


def _translated(annotation: dict[str, Any], translation: dict[int, int | str]) -> dict[str, Any]:
    rows = annotation.get("segments_info")
    if not isinstance(rows, list):
        return annotation
    fresh = [
        {**row, "category_id": translation.get(row["category_id"], f"id {row['category_id']}")}
        if isinstance(row, dict) and isinstance(row.get("category_id"), int)
        else row
        for row in rows
    ]
    return {**annotation, "segments_info": fresh}


def _look_for_scores(path: PathLike, annotations: list[Any], remarks: Remarks) -> None:
    """Remark where the truth has scores, which predictions have: the files may be swapped."""
    for annotation in annotations:
        rows = annotation.get("segments_info") if isinstance(annotation, dict) else None
        if any(isinstance(row, dict) and "score" in row for row in (rows if isinstance(rows, list) else ())):
            remarks.add(
                "scores in the truth",
                f"{path}: its segments have scores, as predictions do; are the two files swapped?",
            )
            return


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())


def _without_folder(pairs: list[Pair], side: str, folder: Path, problems: list[str]) -> list[Pair]:
    """The pairs; a missing folder of PNGs is one problem, not thousands."""
    if folder.is_dir():
        return pairs
    lost = [getattr(pair, side) for pair in pairs]
    lost = [one for one in lost if one is not None and folder in one.picture.parents]
    if lost:
        more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
        problems.append(
            f"{lost[0].picture}: no such file{more}: the folder {folder} does not exist; "
            "check the path, or say where the panoptic PNGs are"
        )
    return [
        pair._replace(**{side: own._replace(lost=True)})
        if (own := getattr(pair, side)) is not None and folder in own.picture.parents
        else pair
        for pair in pairs
    ]


def _picture_names(content: dict[str, Any]) -> dict[Any, str]:
    """The file names of the images by image id, where the JSON lists them."""
    images = content.get("images")
    return {
        image["id"]: image["file_name"]
        for image in (images if isinstance(images, list) else ())
        if isinstance(image, dict)
        and isinstance(image.get("id"), int | str)
        and isinstance(image.get("file_name"), str)
    }


def categories_of(path: PathLike, rows: Any, problems: list[str], hint: str) -> Categories | None:
    """The categories of the truth. Their names do not matter here, so they may be missing or not unique."""
    if not isinstance(rows, list) or not rows:
        problems.append(f'{path}: no list "categories" in it; {hint}')
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


def mentioned_categories(annotations: list[Any]) -> Categories:
    """A category for every category id of a segment."""
    ids = set()
    for annotation in annotations:
        rows = annotation.get("segments_info") if isinstance(annotation, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and isinstance(row.get("category_id"), int):
                ids.add(int(row["category_id"]))
    return Categories(Category(f"category {id}", False, id, (0, 0, 0)) for id in sorted(ids))


def _twin(image_id: Hashable, predictions: dict[Any, Any]) -> str:
    """A hint where an id is a number in one file and the same text in the other."""
    for twin in (
        str(image_id),
        int(image_id) if isinstance(image_id, str) and image_id.isdecimal() else None,
    ):
        if twin in predictions:
            return f" (there is one for {twin!r}: number and text are different ids)"
    return ""

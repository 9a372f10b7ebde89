"""Which predicted frame belongs to which true one, by the JSON files of two sets of videos.

Three forms are read: COCO panoptic JSON with `video` and `frame` besides `image_id`; VIPSeg's, nested by
`video_id`; and Cityscapes-VPS's, plain COCO panoptic whose clip is the first four characters of an image id.
"""

import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.formats.coco_files import read_json
from pansight.formats.video_files import VideoEntry, flattened, masks_folder, video_entries
from pansight.metrics.coco_pairs import Side, categories_of, mentioned_categories
from pansight.metrics.remarks import Remarks

PathLike = str | os.PathLike[str]


class VideoFrame(NamedTuple):
    """One frame of one clip: what is to be read for it, None where an entry is unusable or missing.

    `image`: the file name of the image itself, "" where the JSON does not say.
    """

    clip: str
    name: str
    truth: Side | None
    prediction: Side | None
    image: str = ""


class PairedVideos(NamedTuple):
    """Two sets, paired: the frames of each clip in the order of time, clips in the order of the truth.

    `problems` says, a line each, all that is wrong in the JSON files, `missing` among them the frames that
    have no prediction; `remarks` what looks odd.
    """

    categories: Categories
    clips: Mapping[str, Sequence[VideoFrame]]
    problems: Sequence[str]
    missing: Sequence[str]
    remarks: Remarks


def pair_videos(
    gt_json: PathLike,
    pred_json: PathLike,
    gt_folder: PathLike | None = None,
    pred_folder: PathLike | None = None,
    categories: Categories | None = None,
) -> PairedVideos | list[str]:
    """Pair the frames of two JSON files; or just the problems, where one is unreadable.

    Frames are paired by clip and frame number, else by clip and image id or file name (the ending aside),
    never by their place in the list, so shuffled files are fine; only a Cityscapes-VPS prediction that names
    nothing is taken in the order of the truth's images. Predictions of frames that have no truth are ignored:
    many sets label every fifth frame. The folders of the PNGs default to those next to the JSON files
    and named like them. `categories`: for truth whose JSON has none.
    """
    problems: list[str] = []
    contents = []
    for path in (gt_json, pred_json):
        try:
            contents.append(read_json(path))
        except DataError as error:
            problems.append(str(error))
    if problems:
        return problems
    true, predicted = contents
    if categories is None:
        categories = categories_of(gt_json, true.get("categories"), problems, "add it")
    if categories is None:
        categories = mentioned_categories([*flattened(true), *flattened(predicted)])
    remarks = Remarks()
    if os.path.realpath(gt_json) == os.path.realpath(pred_json):
        remarks.add("same file", f"{gt_json} is given as both truth and prediction; give two different files")
    truth = video_entries(gt_json, true, masks_folder(gt_json, gt_folder), problems)
    prediction = video_entries(pred_json, predicted, masks_folder(pred_json, pred_folder), problems)
    prediction = _placed(prediction, truth, masks_folder(pred_json, pred_folder), problems, pred_json)
    if problems:
        return PairedVideos(categories, {}, problems, (), remarks)
    kind, partners = _partners(truth, prediction, remarks, pred_json)
    clips: dict[str, list[tuple[tuple[Any, ...], VideoFrame]]] = {}
    missing, seen = [], set()
    for position, entry in enumerate(truth):
        key = entry.keys().get(kind)
        partner = partners.pop(key, None)
        if key in seen:
            problems.append(f"{gt_json}: {entry.label} is listed twice")
            continue
        seen.add(key)
        if partner is None:
            missing.append(f"{pred_json}: no prediction for {entry.label}")
        clip = entry.clip or ""
        frame = VideoFrame(
            clip, entry.label, _side(entry), None if partner is None else _side(partner), entry.image
        )
        clips.setdefault(clip, []).append((_order(entry, position), frame))
    if partners:
        remarks.add(
            "extra prediction",
            f"{pred_json}: {len(partners)} frames are not in the truth, the first "
            f"{next(iter(partners.values())).label}; they are ignored",
        )
    ordered = {
        clip: [frame for _, frame in sorted(frames, key=lambda one: one[0])] for clip, frames in clips.items()
    }
    return PairedVideos(categories, ordered, problems, missing, remarks)


def _side(entry: VideoEntry) -> Side:
    return Side(entry.file, entry.segments_info, entry.name)


def _order(entry: VideoEntry, position: int) -> tuple[Any, ...]:
    """Frames stand in the order of their numbers, else in that of the list."""
    return (position,) if entry.frame is None else (entry.frame, position)


def _partners(
    truth: Sequence[VideoEntry], prediction: Sequence[VideoEntry], remarks: Remarks, path: PathLike
) -> tuple[str, dict[Hashable, VideoEntry]]:
    """The kind of key that every entry has and that finds most partners; the predictions by it."""
    best: tuple[int, str, dict[Hashable, VideoEntry]] = (-1, "", {})
    for kind in ("clip and frame", "clip and image id", "clip and file name", "image id"):
        own = {entry.keys().get(kind) for entry in truth}
        if None in own or len(own) < len(truth):
            continue
        found = {key: entry for entry in prediction if (key := entry.keys().get(kind)) is not None}
        hits = len(own & found.keys())
        if hits > best[0]:
            best = (hits, kind, found)
    if not best[1]:  # listed twice in some way: the first kind says so
        kind = next(iter(truth[0].keys()), "image id") if truth else "image id"
        best = (0, kind, {entry.keys().get(kind): entry for entry in prediction})
    if len(best[2]) < len(prediction):
        remarks.add("repeated image", f"{path}: frames are listed again; the last entry of each counts")
    return best[1], best[2]


def _placed(
    prediction: list[VideoEntry],
    truth: Sequence[VideoEntry],
    folder: Path,
    problems: list[str],
    path: PathLike,
) -> list[VideoEntry]:
    """Predictions that name nothing take the names of the truth's images, in their order."""
    if not prediction or any(entry.keys() or entry.stem for entry in prediction):
        return prediction
    if len(prediction) != len(truth):
        problems.append(
            f"{path}: {len(prediction)} annotations without image_id or file_name for {len(truth)} frames "
            "of the truth; give each its image_id"
        )
        return prediction
    placed = []
    for entry, own in zip(prediction, truth, strict=True):
        file = folder / f"{own.image_id}.png"
        placed.append(own._replace(file=file, segments_info=entry.segments_info, name=str(file)))
    return placed

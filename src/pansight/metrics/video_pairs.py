"""Which predicted frame belongs to which true one, by the JSON files of two sets of videos.

Three forms are read: COCO panoptic JSON with `video` and `frame` beside `image_id`; VIPSeg's, nested by
`video_id`; and Cityscapes-VPS's, plain COCO panoptic whose clip is the first four characters of an image id.
"""

import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.formats.coco_files import read_json
from pansight.metrics.coco_pairs import Side, categories_of, mentioned_categories
from pansight.metrics.remarks import Remarks

PathLike = str | os.PathLike[str]

_CLIP_LETTERS = 4
"""Of an image id of Cityscapes-VPS: its clip."""

_USUAL_FOLDERS = ("panomasksRGB", "pan_pred", "panoptic_video")
"""What the folders of PNG are called where they are not named like the JSON: VIPSeg's, and those of its
followers' predictions, and Cityscapes-VPS's."""


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


class _Entry(NamedTuple):
    """One annotation and where it belongs; `clip` is None where the file does not say."""

    clip: str | None
    image_id: int | str | None
    frame: int | None
    stem: str
    side: Side | None
    image: str

    def keys(self) -> dict[str, Hashable]:
        """By what a partner can be found, each kind that this entry has."""
        keys: dict[str, Hashable] = {}
        if self.clip is not None and self.frame is not None:
            keys["clip and frame"] = (self.clip, self.frame)
        if self.clip is not None and self.image_id is not None:
            keys["clip and image id"] = (self.clip, str(self.image_id))
        if self.clip is not None and self.stem:
            keys["clip and file name"] = (self.clip, self.stem)
        if self.image_id is not None:
            keys["image id"] = str(self.image_id)
        return keys

    @property
    def label(self) -> str:
        of_clip = "" if self.clip is None else f" of video {self.clip!r}"
        if self.frame is not None:
            return f"frame {self.frame}{of_clip}"
        return f"frame {self.stem or self.image_id!r}{of_clip}"


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
    many sets label every fifth frame. The folders of the PNG default to those beside the JSON files
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
        categories = mentioned_categories([*_flattened(true), *_flattened(predicted)])
    remarks = Remarks()
    if os.path.realpath(gt_json) == os.path.realpath(pred_json):
        remarks.add("same file", f"{gt_json} is truth and prediction at once; such a score says nothing")
    truth = _entries(gt_json, true, _folder(gt_json, gt_folder), problems)
    prediction = _entries(pred_json, predicted, _folder(pred_json, pred_folder), problems)
    prediction = _placed(prediction, truth, _folder(pred_json, pred_folder), problems, pred_json)
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
            clip, entry.label, entry.side, None if partner is None else partner.side, entry.image
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


def _order(entry: _Entry, position: int) -> tuple[Any, ...]:
    """Frames stand in the order of their numbers, else in that of the list."""
    return (position,) if entry.frame is None else (entry.frame, position)


def _partners(
    truth: Sequence[_Entry], prediction: Sequence[_Entry], remarks: Remarks, path: PathLike
) -> tuple[str, dict[Hashable, _Entry]]:
    """The kind of key that every entry has and that finds most partners; the predictions by it."""
    best: tuple[int, str, dict[Hashable, _Entry]] = (-1, "", {})
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
    prediction: list[_Entry], truth: Sequence[_Entry], folder: Path, problems: list[str], path: PathLike
) -> list[_Entry]:
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
        side = entry.side
        if side is not None:
            file = folder / f"{own.image_id}.png"
            side = Side(file, side.segments_info, str(file))
        placed.append(own._replace(side=side))
    return placed


def _entries(path: PathLike, content: Mapping[str, Any], folder: Path, problems: list[str]) -> list[_Entry]:
    annotations = content["annotations"]
    if any(isinstance(one, dict) and isinstance(one.get("annotations"), list) for one in annotations):
        return _nested(path, content, folder, problems)
    images = {
        image["id"]: image
        for image in content.get("images") or ()
        if isinstance(image, dict) and isinstance(image.get("id"), int | str)
    }
    entries = []
    order = {id: position for position, id in enumerate(images)}
    for position, annotation in enumerate(annotations):
        if not isinstance(annotation, dict) or not isinstance(annotation.get("segments_info"), list):
            problems.append(f"{path}: annotation {position} has no list segments_info")
            continue
        image_id = annotation.get("image_id")
        if not isinstance(image_id, int | str):
            image_id = None
        image = images.get(image_id, {}) if image_id is not None else {}
        clip = annotation.get("video", image.get("video", annotation.get("video_id", image.get("video_id"))))
        frame = annotation.get("frame", image.get("frame"))
        if clip is None and isinstance(image_id, str) and len(image_id) > _CLIP_LETTERS:
            clip = image_id[:_CLIP_LETTERS]
        name = annotation.get("file_name")
        name = name if isinstance(name, str) else f"{image_id}.png"
        file = _found(folder / name, folder / f"{image_id}.png")
        shown = str(file) if image_id is not None or "file_name" in annotation else f"annotation {position}"
        entries.append(
            _Entry(
                None if clip is None else str(clip),
                image_id,
                frame if isinstance(frame, int) else None,
                Path(name).stem if "file_name" in annotation else "",
                Side(file, annotation["segments_info"], shown),
                str(image.get("file_name", "")),
            )
        )
    if all(entry.frame is None and entry.image_id in order for entry in entries):
        entries.sort(key=lambda entry: order[entry.image_id])
    return entries


def _nested(path: PathLike, content: Mapping[str, Any], folder: Path, problems: list[str]) -> list[_Entry]:
    """VIPSeg's form: a list of videos, each with its frames."""
    videos = {
        str(video.get("video_id")): video.get("images") or []
        for video in content.get("videos") or ()
        if isinstance(video, dict)
    }
    found: dict[str, list[_Entry]] = {clip: [] for clip in videos}
    for position, video in enumerate(content["annotations"]):
        if not isinstance(video, dict) or "video_id" not in video:
            problems.append(f"{path}: entry {position} of annotations has no video_id")
            continue
        clip = str(video["video_id"])
        images = {
            Path(str(image.get("file_name", ""))).stem: (place, image)
            for place, image in enumerate(videos.get(clip, ()))
            if isinstance(image, dict)
        }
        own: list[tuple[int, _Entry]] = []
        for place, annotation in enumerate(video.get("annotations") or ()):
            if not isinstance(annotation, dict) or not isinstance(annotation.get("segments_info"), list):
                problems.append(f"{path}: annotation {place} of video {clip!r} has no list segments_info")
                continue
            name = annotation.get("file_name")
            if not isinstance(name, str):
                image_id = annotation.get("image_id")
                if image_id is None:
                    problems.append(f"{path}: annotation {place} of video {clip!r} has no file_name")
                    continue
                name = f"{image_id}.png"
            stem = Path(name).stem
            file = folder / clip / f"{stem}.png"
            place, image = images.get(stem, (place, {}))
            side = Side(file, annotation["segments_info"], str(file))
            image_name = str(image.get("file_name", ""))
            own.append((place, _Entry(clip, annotation.get("image_id"), None, stem, side, image_name)))
        found.setdefault(clip, []).extend(entry for _, entry in sorted(own, key=lambda one: one[0]))
    return [entry for entries in found.values() for entry in entries]


def _flattened(content: Mapping[str, Any]) -> list[Any]:
    rows: list[Any] = []
    for one in content["annotations"]:
        nested = one.get("annotations") if isinstance(one, dict) else None
        rows += nested if isinstance(nested, list) else [one]
    return rows


def _folder(path: PathLike, folder: PathLike | None) -> Path:
    if folder is not None:
        return Path(folder)
    own = Path(path).with_suffix("")
    beside = [own, *(own.parent / name for name in _USUAL_FOLDERS)]
    return next((one for one in beside if one.is_dir()), own)


def _found(*files: Path) -> Path:
    """The first that is there; the first at all where none is."""
    return next((file for file in files if file.is_file()), files[0])

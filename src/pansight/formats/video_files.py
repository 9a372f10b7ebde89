"""Videos in COCO panoptic JSON: every frame's PNG and segments, in the three common forms.

COCO panoptic with `video` and `frame` besides `image_id`; VIPSeg's, nested by `video_id`; and that of
Cityscapes-VPS, plain COCO panoptic whose clip is the first four characters of an image id. Readers and
metrics use this.
"""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

PathLike = str | os.PathLike[str]

_CLIP_LETTERS = 4
"""Of an image id of Cityscapes-VPS: its clip."""

_USUAL_FOLDERS = ("panomasksRGB", "pan_pred", "panoptic_video")
"""What the folders of PNG are called where they are not named like the JSON: VIPSeg's, and those of its
followers' predictions, and Cityscapes-VPS's."""


class VideoEntry(NamedTuple):
    """One annotation and where it belongs; `clip`, `image_id` and `frame` are None where the file is silent.

    `file`: the PNG of its ids, `stem` its name without ending, "" where none is given; `name`: for messages;
    `image`: the file name of the image itself, "" where the JSON does not say.
    """

    clip: str | None
    image_id: int | str | None
    frame: int | None
    stem: str
    file: Path
    segments_info: list[Any]
    name: str
    image: str

    def keys(self) -> dict[str, Hashable]:
        """The keys by which a partner can be found, one per kind that this entry has."""
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


def video_entries(
    path: PathLike, content: Mapping[str, Any], folder: Path, problems: list[str]
) -> list[VideoEntry]:
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
            VideoEntry(
                None if clip is None else str(clip),
                image_id,
                frame if isinstance(frame, int) else None,
                Path(name).stem if "file_name" in annotation else "",
                file,
                annotation["segments_info"],
                shown,
                str(image.get("file_name", "")),
            )
        )
    if all(entry.frame is None and entry.image_id in order for entry in entries):
        entries.sort(key=lambda entry: order[entry.image_id])
    return entries


def _nested(
    path: PathLike, content: Mapping[str, Any], folder: Path, problems: list[str]
) -> list[VideoEntry]:
    """VIPSeg's form: a list of videos, each with its frames."""
    videos = {
        str(video.get("video_id")): video.get("images") or []
        for video in content.get("videos") or ()
        if isinstance(video, dict)
    }
    found: dict[str, list[VideoEntry]] = {clip: [] for clip in videos}
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
        own: list[tuple[int, VideoEntry]] = []
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
            segments = annotation["segments_info"]
            image_name = str(image.get("file_name", ""))
            own.append(
                (
                    place,
                    VideoEntry(
                        clip, annotation.get("image_id"), None, stem, file, segments, str(file), image_name
                    ),
                )
            )
        found.setdefault(clip, []).extend(entry for _, entry in sorted(own, key=lambda one: one[0]))
    return [entry for entries in found.values() for entry in entries]


def flattened(content: Mapping[str, Any]) -> list[Any]:
    rows: list[Any] = []
    for one in content["annotations"]:
        nested = one.get("annotations") if isinstance(one, dict) else None
        rows += nested if isinstance(nested, list) else [one]
    return rows


def masks_folder(path: PathLike, folder: PathLike | None) -> Path:
    if folder is not None:
        return Path(folder)
    own = Path(path).with_suffix("")
    beside = [own, *(own.parent / name for name in _USUAL_FOLDERS)]
    return next((one for one in beside if one.is_dir()), own)


def _found(*files: Path) -> Path:
    """The first that is there; the first at all where none is."""
    return next((file for file in files if file.is_file()), files[0])

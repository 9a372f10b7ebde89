"""Writers of video data sets: KITTI-STEP, Cityscapes-VPS and VIPSeg; their readers are in `pansight.data`.

An image's clip is the folder in its id (`CLIP/FRAME`), else in its name; images in no folder are one clip,
in their order. Ids of objects last through a clip, so they are never renumbered image by image.
Layouts: https://github.com/google-research/deeplab2 (KITTI-STEP), https://github.com/mcahny/vps,
https://github.com/VIPSeg-Dataset/VIPSeg-Dataset.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pansight.categories import Categories
from pansight.errors import CategoryError
from pansight.formats.annotation.door import AnnotationWriter, Picture, Written, write_image, write_text
from pansight.formats.annotation.losses import NO_TRACK, NOT_HELD, Lost
from pansight.panoptic import PanopticMap, ids_to_rgb

_ONLY_CLIP = "0000"
_TRACKED = ("person", "car")
"""KITTI-STEP's classes with tracks; objects of other classes are not separated."""
_VOID = 255
_MOST_TRACKS = 1 << 16
_PER_CLASS = 1 << 16
"""The ids that `pansight.data` gives KITTI-STEP: (class + 1) * 65536 + track."""


class _Place(NamedTuple):
    """Where an image belongs: its clip and frame by name and by number."""

    clip: str
    frame: str
    clip_number: int
    frame_number: int


class ClipWriter(AnnotationWriter):
    """What the three have in common: every image has a place in a clip."""

    def __init__(self, folder: Path, categories: Categories) -> None:
        super().__init__(folder, categories)
        self._places: dict[int | str, _Place] = {}
        self._clips = _Numbers()
        self._frames: dict[str, _Numbers] = {}

    def plan(self, pictures: Sequence[Picture]) -> None:
        named = [_clip_and_frame(picture) for picture in pictures]
        self._clips.add([clip for clip, _ in named])
        frames: dict[str, list[str]] = {}
        for clip, frame in named:
            frames.setdefault(clip, []).append(frame)
        for clip, listed in frames.items():
            self._frames.setdefault(clip, _Numbers()).add(listed)
        self._places = {
            picture.id: _Place(clip, frame, self._clips.of(clip), self._frames[clip].of(frame))
            for picture, (clip, frame) in zip(pictures, named, strict=True)
        }


class _Numbers:
    """A number for every name: its own where it is one, else the smallest that is free."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._taken: set[int] = set()
        self._next = 0

    def add(self, names: Sequence[str]) -> None:
        """Number these names; those that are numbers come first."""
        fresh = [name for name in dict.fromkeys(names) if name not in self._known]
        for name in sorted(fresh, key=lambda one: not _is_number(one)):
            number = int(name) if _is_number(name) else self._next
            while number in self._taken:
                self._next += 1
                number = self._next
            self._known[name] = number
            self._taken.add(number)

    def of(self, name: str) -> int:
        """The number of a name."""
        return self._known[name]


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= 9


def _clip_and_frame(picture: Picture) -> tuple[str, str]:
    said = str(picture.id) if "/" in str(picture.id) else picture.stem
    clip, _, frame = said.replace("\\", "/").rpartition("/")
    return clip.replace("/", "_") or _ONLY_CLIP, frame


class KittiStepWriter(ClipWriter):
    """panoptic_maps/val/SEQUENCE/FRAME.png: red the class 0..18, green and blue the track.

    Classes are Cityscapes' 19, found by name; others become void. Only person and car have tracks, 1..65535,
    which are the ids of the map (of KITTI-STEP's own, their last 16 bits); a crowd has none.
    """

    def __init__(self, folder: Path, categories: Categories) -> None:
        """Raises CategoryError when no class is one of Cityscapes."""
        super().__init__(folder, categories)
        known = {item.name: number for number, item in enumerate(Categories.builtin("cityscapes"))}
        self._values = [known.get(item.name, _VOID) for item in categories]
        if all(value == _VOID for value in self._values):
            raise CategoryError(
                f"{categories.name}: none of its classes is one of KITTI-STEP's ({', '.join(known)}); "
                "rename them with --map"
            )

    @property
    def targets(self) -> tuple[Path, ...]:
        return (self.folder / "panoptic_maps",)

    def image_path(self, picture: Picture) -> Path:
        return self.folder / "images" / "val" / self._name(picture)

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        classes, tracks, lost = [], [], []
        used: set[tuple[int, int]] = set()
        for segment in panoptic.segments:
            name = panoptic.categories[segment.category].name
            value, track = self._values[segment.category], 0
            if value == _VOID:
                lost.append(Lost(NOT_HELD, f"segment {segment.id} ({name})"))
            elif name in _TRACKED and not segment.is_crowd:
                track = segment.id % _PER_CLASS
                if track == 0 or (value, track) in used:
                    lost.append(Lost(NO_TRACK, f"segment {segment.id} ({name})"))
                used.add((value, track))
            elif panoptic.categories[segment.category].is_thing and name not in _TRACKED:
                lost.append(Lost(NO_TRACK, f"segment {segment.id} ({name})"))
            classes.append(value)
            tracks.append(track)
        numbers = panoptic.paint(list(range(1, len(classes) + 1)))
        red = np.array([_VOID, *classes], np.uint8)[numbers]
        track_map = np.array([0, *tracks], np.int64)[numbers]
        pixels = np.stack([red, track_map >> 8, track_map & 255], axis=2).astype(np.uint8)
        path = self.folder / "panoptic_maps" / "val" / self._name(picture)
        return Written(None, tuple(lost), (write_image(path, pixels),))

    def _name(self, picture: Picture) -> Path:
        """SEQUENCE/FRAME.png, both numbers."""
        place = self._places[picture.id]
        return Path(f"{place.clip_number:04d}", f"{place.frame_number:06d}.png")

    def save(self, rows: Sequence[Any]) -> Path:
        return self.folder / "panoptic_maps"


class VipSegWriter(ClipWriter):
    """panomasksRGB/VIDEO/FRAME.png, id = R + 256 G + 65536 B, and panoptic_gt_VIPSeg.json, nested by video.

    Every id, class and crowd is held; ids of images are unique in their video only.
    """

    @property
    def targets(self) -> tuple[Path, ...]:
        return (self.folder / "panoptic_gt_VIPSeg.json", self.folder / "panomasksRGB")

    def image_path(self, picture: Picture) -> Path:
        place = self._places[picture.id]
        return self.folder / "imgs" / place.clip / f"{place.frame}.jpg"

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        place = self._places[picture.id]
        name = f"{place.frame}.png"
        path = write_image(self.folder / "panomasksRGB" / place.clip / name, ids_to_rgb(panoptic.ids))
        size = {"width": panoptic.width, "height": panoptic.height}
        image = {"id": place.frame, **size, "file_name": name}
        annotation = {"image_id": place.frame, "file_name": name, "segments_info": _segments(panoptic)}
        return Written((place.clip, image, annotation), files=(path,))

    def save(self, rows: Sequence[Any]) -> Path:
        videos: dict[str, tuple[list[Any], list[Any]]] = {}
        for clip, image, annotation in rows:
            images, annotations = videos.setdefault(clip, ([], []))
            images.append(image)
            annotations.append(annotation)
        content = {
            "videos": [{"video_id": clip, "images": images} for clip, (images, _) in videos.items()],
            "annotations": [{"video_id": clip, "annotations": found} for clip, (_, found) in videos.items()],
            "categories": self.categories.to_json(),
        }
        return write_text(self.folder / "panoptic_gt_VIPSeg.json", json.dumps(content))


class CityscapesVpsWriter(ClipWriter):
    """val/panoptic_video/VIDEO_FRAME_NAME_final_mask.png and panoptic_gt_val_city_vps.json.

    VIDEO is a number of four digits, which the id of each image begins with. Every id, class and crowd is
    held.
    """

    @property
    def targets(self) -> tuple[Path, ...]:
        return (self.folder / "panoptic_gt_val_city_vps.json", self.folder / "val")

    def image_path(self, picture: Picture) -> Path:
        return self.folder / "val" / "img_all" / f"{self._image_id(picture)}_newImg8bit.png"

    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        video, image_id = self._video(picture), self._image_id(picture)
        name = f"{image_id}_final_mask.png"
        path = write_image(self.folder / "val" / "panoptic_video" / name, ids_to_rgb(panoptic.ids))
        size = {"width": panoptic.width, "height": panoptic.height}
        image = {"id": image_id, **size, "file_name": f"{image_id}_newImg8bit.png"}
        annotation = {"image_id": image_id, "file_name": name, "segments_info": _segments(panoptic)}
        return Written((video, image, annotation), files=(path,))

    def _video(self, picture: Picture) -> str:
        return f"{self._places[picture.id].clip_number:04d}"

    def _image_id(self, picture: Picture) -> str:
        place, video = self._places[picture.id], self._video(picture)
        if place.frame.startswith(f"{video}_"):  # one of the set's own ids
            return place.frame.removesuffix("_final_mask").removesuffix("_newImg8bit")
        name = re.sub(r"[^A-Za-z0-9-]+", "-", place.frame)
        return f"{video}_{place.frame_number:04d}_{name}"

    def save(self, rows: Sequence[Any]) -> Path:
        content = {
            "videos": list(dict.fromkeys(video for video, _, _ in rows)),
            "images": [image for _, image, _ in rows],
            "annotations": [annotation for _, _, annotation in rows],
            "categories": self.categories.to_json(),
        }
        return write_text(self.folder / "panoptic_gt_val_city_vps.json", json.dumps(content))


def _segments(panoptic: PanopticMap) -> list[dict[str, Any]]:
    _, annotation = panoptic.to_coco(0, "")
    rows: list[dict[str, Any]] = annotation["segments_info"]
    return rows


VIDEO_WRITERS: dict[str, type[ClipWriter]] = {
    "kitti-step": KittiStepWriter,
    "cityscapes-vps": CityscapesVpsWriter,
    "vipseg": VipSegWriter,
}
"""By the name of the kind of data set that reads what is written."""

"""Videos with panoptic truth whose ids last: Cityscapes-VPS, VIPSeg, KITTI-STEP, and synthetic clips.

Each is a `PanopticDataset`, clip after clip, each clip in the order of time, and says in `clips` where each
begins and ends. Layouts: https://github.com/mcahny/vps, https://github.com/VIPSeg-Dataset/VIPSeg-Dataset,
https://github.com/google-research/deeplab2 (KITTI-STEP).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32

from pansight.categories import Categories
from pansight.data.cityscapes import train_id_categories
from pansight.data.class_names import match_categories
from pansight.data.dataset import PanopticDataset
from pansight.data.folders import Folder, existing_folder, open_folder
from pansight.data.label_files import Entry, LabelFiles, Row, decode_colors, decode_gray
from pansight.data.layouts import Places, Splits
from pansight.errors import CategoryError, DataError, DataProblemsError, InputError
from pansight.formats.coco_files import decode_ids, read_json
from pansight.formats.video_files import masks_folder, video_entries

_THINGS_FROM = 125
"""VIPSeg's raw masks: values from here on are class * 100 + number; below, classes."""
_CROWD_CLASSES = (11, 13)
"""KITTI-STEP's tracked classes, person and car: without an instance they are crowds."""


@runtime_checkable
class VideoDataset(PanopticDataset, Protocol):
    """A `PanopticDataset` of clips: ids last through each of them."""

    @property
    def clips(self) -> Mapping[str, range]:
        """The positions of each clip's frames, in the order of time."""


class VideoFiles(LabelFiles):
    """Clips of label files; image ids are `clip/frame`."""

    @property
    def clips(self) -> Mapping[str, range]:
        """The positions of each clip's frames."""
        found: dict[str, range] = {}
        for position, image_id in enumerate(self.image_ids):
            clip = image_id.rpartition("/")[0]
            first = found[clip].start if clip in found else position
            found[clip] = range(first, position + 1)
        return found

    @property
    def listed(self) -> Mapping[str, Sequence[str]]:
        """The frames of each clip in the order in which the files list them."""
        return {
            clip: [self.image_ids[position].rpartition("/")[2] for position in positions]
            for clip, positions in self.clips.items()
        }


class VideoJson(VideoFiles):
    """A JSON of videos in any of three forms (see `pansight.formats.video_files`), with its PNG of ids."""

    def __init__(self, path: Path, places: Places, images: Path | None = None) -> None:
        """Raises DataError where the JSON cannot be read, DataProblemsError with all that is wrong in it."""
        content = read_json(path)
        rows = content.get("categories")
        if not rows and places.categories is None:
            raise DataError(f'{path}: no "categories" in it; name the set (--categories)')
        try:
            own = Categories.from_json(rows, name=path.name) if rows else places.categories
        except (CategoryError, TypeError) as error:
            raise DataError(f"{path}: {error}") from error
        assert own is not None
        index = match_categories(own, places.categories, path) if places.categories is not None else None
        self._index = {
            id: place if index is None else index[place] for id, place in own.dataset_index.items()
        }
        problems: list[str] = []
        masks = masks_folder(path, places.panoptic)
        entries = video_entries(path, content, masks, problems)
        order: dict[str, list[tuple[Any, ...]]] = {}
        self._rows: dict[str, list[Row]] = {}
        self._listed: dict[str, list[str]] = {}
        for position, one in enumerate(entries):
            clip, stem = one.clip or "", one.stem or str(one.image_id)
            key = f"{clip}/{stem}"
            if key in self._rows:
                problems.append(f"{path}: {one.label} is listed twice")
                continue
            self._rows[key] = self._table(one.segments_info, f"{path}: {one.label}", problems)
            relative = one.file.relative_to(masks).as_posix()
            picture = one.image or relative
            names = (picture, f"{clip}/{picture}", f"{clip}/{Path(picture).name}", relative)
            entry = Entry(key, tuple(dict.fromkeys(names)), relative)
            place = (position,) if one.frame is None else (one.frame, position)
            order.setdefault(clip, []).append((place, entry))
            self._listed.setdefault(clip, []).append(str(stem if one.frame is None else one.frame))
        if problems:
            raise DataProblemsError(f"{path}: cannot be used as it is; fix the following:", problems)
        ordered = [
            entry for frames in order.values() for _, entry in sorted(frames, key=lambda frame: frame[0])
        ]
        pictures = places.images or images
        super().__init__(
            path,
            open_folder(masks),
            None if pictures is None else open_folder(pictures),
            ordered,
            places.categories or own,
        )

    @property
    def listed(self) -> Mapping[str, Sequence[str]]:
        """The frames of each clip, by number or file name, in the order of the JSON."""
        return self._listed

    def decode(self, content: bytes, entry: Entry) -> tuple[Int32[np.ndarray, "h w"], Iterable[Row]]:
        return decode_ids(content, entry.labels), self._rows[entry.image_id]

    def _table(self, segments: Sequence[Any], where: str, problems: list[str]) -> list[Row]:
        rows: list[Row] = []
        for one in segments:
            id = one.get("id") if isinstance(one, dict) else None
            kind = one.get("category_id") if isinstance(one, dict) else None
            if not isinstance(id, int) or not isinstance(kind, int):
                problems.append(f"{where}: segment {one!r:.80} needs id and category_id, whole numbers")
            elif kind not in self._index:
                problems.append(f"{where}: segment {id} has category_id {kind}, which is not declared")
            else:
                rows.append((id, self._index[kind], None, one.get("iscrowd", 0) == 1))
        return rows


class KittiStep(VideoFiles):
    """KITTI-STEP: `panoptic_maps/SPLIT/SEQUENCE/FRAME.png`, red the class, green and blue the track."""

    def __init__(self, labels: Path, images: Path | None, categories: Categories | None = None) -> None:
        """Open the sequences in `labels`, and likewise those of images in `images`."""
        own = train_id_categories()
        folder = open_folder(labels)
        super().__init__(
            labels,
            folder,
            None if images is None else open_folder(images),
            _frames(folder),
            categories or own,
        )
        self._index = match_categories(own, self.categories, labels)

    def decode(self, content: bytes, entry: Entry) -> tuple[Int32[np.ndarray, "h w"], Iterable[Row]]:
        codes = decode_colors(content).astype(np.int32)
        classes, tracks = codes[..., 0], codes[..., 1] * 256 + codes[..., 2]
        void = classes == 255
        if int(classes[~void].max(initial=0)) >= len(self._index):
            raise InputError(
                f"class {int(classes[~void].max())} in it; red must be 0..{len(self._index) - 1}, or 255"
            )
        # a class without a track is one segment; the numbers last, and are different for each class
        ids = np.where(void, 0, (classes + 1) * 65536 + tracks).astype(np.int32)
        present = np.unique(ids[ids > 0])
        rows: list[Row] = []
        for id in present.tolist():
            kind, track = id // 65536 - 1, id % 65536
            rows.append((id, int(self._index[kind]), None, kind in _CROWD_CLASSES and track == 0))
        return ids, rows


class VipSegMasks(VideoFiles):
    """VIPSeg as downloaded: `panomasks/VIDEO/FRAME.png`, one integer a pixel."""

    def __init__(
        self,
        labels: Path,
        images: Path | None,
        videos: Sequence[str] | None,
        own: Categories,
        categories: Categories | None = None,
    ) -> None:
        """`videos`: those of a split, None: all. `own`: the 124 classes, ids 0..123."""
        folder = open_folder(labels)
        entries = [
            entry
            for entry in _frames(folder)
            if videos is None or entry.image_id.split("/")[0] in set(videos)
        ]
        pictures = None if images is None else open_folder(images)
        super().__init__(labels, folder, pictures, entries, categories or own)
        index = match_categories(own, self.categories, labels)
        self._index = {id: int(index[place]) for id, place in own.dataset_index.items()}

    def decode(self, content: bytes, entry: Entry) -> tuple[Int32[np.ndarray, "h w"], Iterable[Row]]:
        values = decode_gray(content)
        rows: list[Row] = []
        for value in np.unique(values[values > 0]).tolist():
            kind = (value // 100 if value >= _THINGS_FROM else value) - 1
            if kind not in self._index:
                raise InputError(f"value {value} is of class {kind + 1}, which VIPSeg does not have")
            rows.append((value, self._index[kind], None, False))
        return values, rows


def kitti_step_splits(root: Path, places: Places) -> Splits:
    """`panoptic_maps/{train,val}/SEQUENCE/*.png`, images in `images/{train,val}/SEQUENCE/*.png`."""
    labels = Path(places.panoptic) if places.panoptic is not None else root / "panoptic_maps"
    images = Path(places.images) if places.images is not None else root / "images"
    return {
        split: partial(_kitti, labels / split, images / split)
        for split in ("train", "val", "test")
        # its sequences have numbers, Cityscapes' cities have names
        if (labels / split).is_dir() and any(one.name.isdigit() for one in (labels / split).iterdir())
    }


def _kitti(labels: Path, images: Path, places: Places) -> KittiStep:
    return KittiStep(labels, existing_folder(images), places.categories)


def vipseg_splits(root: Path, places: Places) -> Splits:
    """`panoptic_gt_VIPSeg_SPLIT.json` with `panomasksRGB/`; else `panomasks/` with `SPLIT.txt`."""
    base = root / "VIPSeg_720P" if (root / "VIPSeg_720P").is_dir() else root
    images = existing_folder(base / "images", base / "imgs")
    found: Splits = {}
    for path in sorted(base.glob("panoptic_gt_VIPSeg*.json")):
        split = re.sub(r"^panoptic_gt_VIPSeg_?", "", path.stem) or "all"
        found[split] = partial(_json, path, images)
    labels = base / "panomasks"
    if not found and labels.is_dir():
        texts = {
            path.stem: path for path in sorted(base.glob("*.txt")) if path.stem in ("train", "val", "test")
        }
        for split, text in texts.items() or {"all": None}.items():
            found[split] = partial(_vipseg, base, labels, images, text)
    return found


def _vipseg(base: Path, labels: Path, images: Path | None, text: Path | None, places: Places) -> VipSegMasks:
    table = base / "panoVIPSeg_categories.json"
    if not table.is_file():
        raise DataError(f"{table}: no such file; it names VIPSeg's classes, put it there")
    videos = None if text is None else text.read_text(encoding="utf-8").split()
    return VipSegMasks(labels, images, videos, Categories.from_file(table), places.categories)


def cityscapes_vps_splits(root: Path, places: Places) -> Splits:
    """`panoptic_gt_SPLIT_city_vps.json` with `SPLIT/panoptic_video/`, images in `SPLIT/img_all/`."""
    found: Splits = {}
    for path in sorted([*root.glob("*_city_vps.json"), *root.glob("*/*_city_vps.json")]):
        match = re.search(r"(train|val|test)", path.stem)
        split = match[1] if match else "all"
        base = path.parent if path.parent.name == split else path.parent / split
        images = existing_folder(base / "img_all", base / "img", base / "cls")
        found.setdefault(split, partial(_vps, path, base, images))
    return found


def _vps(path: Path, base: Path, images: Path | None, places: Places) -> VideoJson:
    masks = existing_folder(base / "panoptic_video", path.with_suffix(""))
    if places.panoptic is None and masks is not None:
        places = places._replace(panoptic=masks)
    if places.categories is None and not read_json(path).get("categories"):
        return VideoJson(path, places._replace(categories=train_id_categories()), images)
    return VideoJson(path, places, images)


def _json(path: Path, images: Path | None, places: Places) -> VideoJson:
    return VideoJson(path, places, images)


def open_video_json(path: Path, places: Places) -> VideoJson:
    """A JSON of videos, with images where they usually lie."""
    beside = existing_folder(path.parent / "images", path.parent / "imgs")
    return VideoJson(path, places, beside)


def is_nested(path: Path) -> bool:
    """Whether a JSON has VIPSeg's nested form: videos come before anything is parsed."""
    try:
        with path.open("rb") as file:
            return b'"video_id"' in file.read(1 << 16)
    except OSError:
        return False


def _frames(folder: Folder) -> list[Entry]:
    """Entries for CLIP/FRAME.png, in order."""
    entries = []
    for name in sorted(folder.listing(".png")):
        stem = name.removesuffix(".png")
        if "/" in stem:
            entries.append(Entry(stem, (f"{stem}.png", f"{stem}.jpg"), name))
    return entries

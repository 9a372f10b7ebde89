"""What a format provides: a reader of its files, a writer, and a way to recognise them."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.files import atomic_write
from pansight.formats.annotation.losses import Lost
from pansight.formats.annotation.objects import AnnotatedImage
from pansight.formats.coco_files import BROKEN_PICTURE
from pansight.panoptic import PanopticMap

CLASSES_FILE = "classes.json"
"""Written next to every export, since only COCO panoptic and Segments.ai record what is stuff."""


class ClassRow(NamedTuple):
    """A class as in a tool's file; None where the file does not say."""

    name: str
    is_thing: bool | None = None
    id: int | None = None
    color: tuple[int, int, int] | None = None


class AnnotationReader(ABC):
    """The labelled images of one source, by number, in the order of the file. Must be picklable.

    Attributes:
        where: the name of the source in messages.
        names: the file of each image, relative to the folder of images.
        image_ids: an id for each, unique.
        classes: all classes; where the tool lists none, those that occur.
    """

    where: Path
    names: Sequence[str]
    image_ids: Sequence[int | str]
    classes: Sequence[ClassRow]

    @abstractmethod
    def read(self, index: int) -> AnnotatedImage:
        """Decode image `index`. Raises DataError, naming file and object, when it is broken."""

    @property
    def reads(self) -> tuple[Path, ...]:
        """The files and folders that are read: nothing may be written there."""
        return (self.where,)


class Picture(NamedTuple):
    """An image that labels are written for: its id, and its name relative to the folder of images.

    `stem` is that name without its ending, safe as a path and unique among all images.
    """

    id: int | str
    name: str
    stem: str


class Written(NamedTuple):
    """What is written for one image: a row for the table at the end, and what the format cannot hold."""

    row: Any
    lost: tuple[Lost, ...] = ()
    files: tuple[Path, ...] = ()


class AnnotationWriter(ABC):
    """Writes maps in a tool's format: `write` for each image, in any process or thread, then `save`.

    Every file is written atomically. Must be picklable.
    """

    def __init__(self, folder: Path, categories: Categories) -> None:
        """`folder`: where everything goes. Raises CategoryError when the format cannot hold the classes."""
        self.folder = folder
        self.categories = categories

    @property
    def targets(self) -> tuple[Path, ...]:
        """Files that are written at the end, or that stand for all others."""
        return (self.folder / CLASSES_FILE,)

    def plan(self, pictures: Sequence[Picture]) -> None:  # noqa: B027  (most formats need none)
        """Called before anything is written, with all images in order; of a stream with each as it comes."""

    def image_path(self, picture: Picture) -> Path:
        """Where the format has an image, for whoever writes images as well."""
        return self.folder / "images" / picture.name

    @abstractmethod
    def write(self, picture: Picture, panoptic: PanopticMap) -> Written:
        """Write one image. Raises InputError when it cannot be written."""

    def save(self, rows: Sequence[Any]) -> Path:
        """Write the tables, `rows` in the order of the images; returns the files to look at."""
        write_text(self.folder / CLASSES_FILE, json.dumps(self.categories.to_json(), indent=1))
        return self._save(rows)

    def _save(self, rows: Sequence[Any]) -> Path:
        return self.folder


@dataclass(frozen=True)
class AnnotationFormat:
    """One format: its name, other names for it, what it is, and its two doors."""

    name: str
    title: str
    recognise: Callable[[Path], bool]
    reader: Callable[..., AnnotationReader]
    writer: Callable[[Path, Categories], AnnotationWriter]
    aliases: tuple[str, ...] = ()


class Pictures:
    """Where the images of a source are: folders to search, by full name and then by base name."""

    _ENDINGS = (".jpg", ".png", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

    def __init__(self, *folders: Path) -> None:
        self.folders = tuple(folder for folder in dict.fromkeys(folders) if folder.is_dir())
        self._known: dict[str, Path] | None = None

    def find(self, name: str) -> Path | None:
        """The file of an image, given its path, its name or its name without ending, or None."""
        name = name.replace("\\", "/")
        for folder in self.folders:
            if (path := folder / name.lstrip("/")).is_file():
                return path
        known = self._all()
        base = PurePosixPath(name).name
        return known.get(base) or known.get(PurePosixPath(name).stem)

    def size(self, name: str, why: str) -> tuple[int, int]:
        """Height and width as shown, EXIF rotation applied. Raises DataError when there is no image."""
        path = self.find(name)
        if path is None:
            raise DataError(f"{name}: its image was not found, and {why}; name its folder with --images")
        try:
            with Image.open(path) as opened:
                turned = opened.getexif().get(0x0112, 1) in (5, 6, 7, 8)
                width, height = opened.size
        except BROKEN_PICTURE as error:
            raise DataError(f"{path}: cannot be read ({error}), and {why}; replace the file") from error
        return (width, height) if turned else (height, width)

    def _all(self) -> dict[str, Path]:
        if self._known is None:
            self._known = {}
            for folder in self.folders:
                for path in sorted(folder.rglob("*")):
                    if path.suffix.lower() in self._ENDINGS:
                        self._known.setdefault(path.name, path)
                        self._known.setdefault(path.stem, path)
        return self._known


def is_listed(path: Path, *patterns: str) -> bool:
    """Whether a folder has files of all these patterns."""
    return path.is_dir() and all(next(path.glob(pattern), None) is not None for pattern in patterns)


def load_json(path: Path) -> Any:
    """The content of a JSON file. Raises DataError, naming it, when it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file ({error}); correct or remove it") from error


def peek_json(path: Path) -> Any:
    """The content of a JSON file, or None where it is not such a file."""
    try:
        return load_json(path) if path.suffix.lower() == ".json" and path.is_file() else None
    except DataError:
        return None


def write_text(path: Path, text: str) -> Path:
    """Write a text file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def write_image(path: Path, pixels: Shaped[np.ndarray, "..."] | Image.Image) -> Path:
    """Write a PNG atomically."""
    with atomic_write(path) as temporary:
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(temporary, format="PNG")
    return path


def read_image(path: Path) -> Image.Image:
    """A label image, loaded, in its own mode. Raises DataError, naming the file."""
    try:
        with Image.open(path) as opened:
            opened.load()
            return opened.copy()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the folder of the labels") from error
    except BROKEN_PICTURE as error:
        raise DataError(f"{path}: cannot be read ({error}); replace the file") from error

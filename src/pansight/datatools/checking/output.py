"""The fixed files: gathered aside while the doctor works, and put in their places all at once."""

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from jaxtyping import Int32
from PIL import Image

from pansight.data.folders import Source
from pansight.datatools.checking.document import Document, finite
from pansight.errors import DataError, InputError
from pansight.files import atomic_write
from pansight.panoptic.ids import ids_to_rgb


@dataclass(frozen=True)
class Places:
    """Where the fixed files of one set go: the JSON, the folder of its panoptic PNGs, and where they wait.

    `copies` says that panoptic PNGs which need no fixing are copied, too: not when they stay where they are.
    """

    json: Path
    labels: Path
    waiting: Path
    copies: bool

    @property
    def wanted(self) -> bool:
        """Whether anything is to be put in its place."""
        return not (self.waiting / "given-up").exists()

    def clear(self) -> None:
        """Delete the waiting files."""
        shutil.rmtree(self.waiting, ignore_errors=True)

    def give_up(self) -> None:
        """Leave the set as it is: nothing of it will be put in its place."""
        self.clear()
        (self.waiting / "given-up").mkdir(parents=True)

    def write_labels(self, name: str, ids: Int32[np.ndarray, "h w"]) -> None:
        """Rewrite a panoptic PNG."""
        path = self._waiting_place(name)
        try:
            Image.fromarray(ids_to_rgb(ids)).save(path, format="PNG")
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}; free space") from error

    def copy_labels(self, name: str, source: Source) -> None:
        """Copy a panoptic PNG as it is."""
        if not self.copies:
            return
        path = self._waiting_place(name)
        try:
            path.write_bytes(source.read_bytes())
        except OSError as error:
            raise InputError(f"cannot copy {source}: {error.strerror or error}; free space") from error

    def write_json(
        self,
        document: Document,
        segments: Mapping[int, Sequence[dict[str, Any]]],
        sizes: Mapping[int, tuple[int, int]],
    ) -> None:
        """Write the JSON: new `segments_info` by position of annotations, new sizes by position of images."""
        content = dict(document.content)
        content["annotations"] = [
            {**row, "segments_info": segments[position]} if position in segments else row
            for position, row in enumerate(content["annotations"])
        ]
        if sizes:
            content["images"] = [
                {**row, "width": sizes[position][0], "height": sizes[position][1]}
                if position in sizes
                else row
                for position, row in enumerate(content["images"])
            ]
        path = self._waiting_place(self.json.name, "json")
        path.write_text(json.dumps(finite(content), allow_nan=False), encoding="utf-8")

    def publish(self) -> None:
        """Put everything in its place, the JSON last."""
        waiting = self.waiting / "labels"
        for path in sorted(waiting.rglob("*")) if waiting.is_dir() else ():
            if path.is_file():
                self._move(path, self.labels / path.relative_to(waiting))
        self._move(self.waiting / "json" / self.json.name, self.json)

    def _move(self, source: Path, target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        except OSError as error:
            raise InputError(f"cannot write {target}: {error.strerror or error}; check the folder") from error

    def _waiting_place(self, name: str, part: str = "labels") -> Path:
        relative = PurePath(name)
        if relative.is_absolute() or ".." in relative.parts:
            raise DataError(f"{name}: a panoptic PNG outside its folder cannot be fixed; name it without ..")
        path = self.waiting / part / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@contextmanager
def fixed_places(
    sets: Sequence[tuple[Path, Path]], output: Path | None, in_place: bool
) -> Iterator[list[Places] | None]:
    """Places for the fixed files of the sets (JSON, folder of panoptic PNGs); None if none is to be fixed.

    Everything is put in place when the work succeeds. When it fails, nothing has changed. Raises InputError
    when `output` holds such files already, or is where the originals are.
    """
    if output is None and not in_place:
        yield None
        return
    bases = [json_file.parent if output is None else output for json_file, _ in sets]
    for json_file, labels in sets:
        if in_place and not labels.is_dir():
            raise InputError(f"{labels}: only a folder can be fixed in place; unpack it, or use --fix")
        if output is not None and (output / json_file.name).exists():
            raise InputError(f"{output / json_file.name} already exists; choose another folder to fix into")
    token = f".fixing-{secrets.token_hex(6)}"
    made = [base for base in dict.fromkeys(bases) if not base.exists()]
    places = [
        Places(
            json=base / json_file.name,
            labels=labels if output is None else base / json_file.stem,
            waiting=base / token / str(number),
            copies=output is not None,
        )
        for number, (base, (json_file, labels)) in enumerate(zip(bases, sets, strict=True))
    ]
    finished = False
    try:
        for place in places:
            with atomic_write(place.waiting / "json" / "probe"):
                pass  # says in one line when the folder cannot be written
        yield places
        wanted = [place for place in places if place.wanted]
        for place in wanted:
            place.publish()
        finished = bool(wanted)
    finally:
        for base in dict.fromkeys(bases):
            shutil.rmtree(base / token, ignore_errors=True)
        if not finished:
            for base in made:
                if base.is_dir() and not any(base.iterdir()):
                    base.rmdir()

"""The model as every worker has it: by name, or sent along where only the driver sees its files."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from pansight.data.class_maps import ClassMap
from pansight.export.network import weights_digest
from pansight.models.base import PanopticModel
from pansight.runtime.engines.opening import DEFAULT_VARIABLE, EngineOptions, open_engine, runtime_of
from pansight.runtime.images import MAX_PIXELS
from pansight.runtime.segmenter import Resize, Segmenter
from pansight.runtime.translation import translate_by_map


@dataclass(frozen=True)
class FleetModel:
    """The arguments of `pansight.load` in each worker; see there.

    `engine`: by default what `auto` stands for here, which workers on other machines do not know.
    `contents`: gives the bytes of files by path, for workers on other machines; None where they see the same
    disks.
    """

    name: str
    weights: str | None = None
    engine: str = field(default_factory=lambda: os.environ.get(DEFAULT_VARIABLE) or "auto")
    resize: Resize = "paper"
    merge: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 1
    max_pixels: int = MAX_PIXELS
    class_map: ClassMap | None = None
    contents: Callable[[], dict[str, bytes]] | None = None

    def files(self) -> dict[str, bytes]:
        """The files that the name and the weights stand for: none for a model of the package or the zoo."""
        found = [Path(one) for one in (self.name, self.weights) if one is not None and Path(one).is_file()]
        found += [path.with_suffix(".bin") for path in found if path.suffix == ".xml"]
        return {str(path): path.read_bytes() for path in found if path.is_file()}

    def sent(self, contents: Callable[[], dict[str, bytes]]) -> "FleetModel":
        """The model for workers that do not see these files."""
        return replace(self, contents=contents)

    def load(self, device: str, cores: int) -> Segmenter:
        """The Segmenter of a worker that has `cores` cores; others have the rest."""
        torch.set_num_threads(cores)
        if self.contents is None:
            return self._load(self.name, self.weights, self.engine, device, cores)
        with tempfile.TemporaryDirectory(prefix="pansight-") as folder:
            here: dict[str, str] = {}
            for path, content in self.contents().items():
                here[path] = str(Path(folder) / Path(path).name)
                Path(here[path]).write_bytes(content)
            weights = None if self.weights is None else here.get(self.weights, self.weights)
            return self._load(here.get(self.name, self.name), weights, self.engine, device, cores)

    def checked(self) -> tuple[Segmenter, str]:
        """A Segmenter on the driver, and a digest of everything that determines the model's output.

        Raises what `pansight.load` raises, before any worker is started.
        """
        segmenter = self._load(
            self.name, self.weights, "eager" if runtime_of(self.name) is None else "auto", "cpu"
        )
        model = getattr(segmenter.engine, "model", None)
        if isinstance(model, PanopticModel):
            found = weights_digest(model)
        else:
            digest = hashlib.sha256()
            for content in self.files().values():
                digest.update(content)
            found = digest.hexdigest()
        if self.class_map is not None:
            found = hashlib.sha256(f"{found} {dict(self.class_map)}".encode()).hexdigest()
        return segmenter, found

    def _load(
        self, name: str, weights: str | None, engine: str, device: str, threads: int | None = None
    ) -> Segmenter:
        options = EngineOptions(device=device, resize=self.resize, merge=dict(self.merge), threads=threads)
        opened = open_engine(name, engine, options, weights)
        translation = (
            None if self.class_map is None else translate_by_map(self.class_map, opened.spec.categories)
        )
        return Segmenter(
            opened, batch_size=self.batch_size, max_pixels=self.max_pixels, translation=translation
        )

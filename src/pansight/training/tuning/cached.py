"""A network's outputs on a data set, made once: every trial of a setting merges them anew."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pansight.data.dataset import PanopticDataset
from pansight.errors import DataError, InputError
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Sizes
from pansight.panoptic import PanopticMap
from pansight.runtime.devices import form_for

IN_MEMORY = 2 << 30
"""bytes of outputs that are kept in memory; what is beyond goes to a temporary folder"""


class CachedOutputs:
    """The outputs of `model` on some samples of a data set, and their truths.

    The network runs once per image. Use it as a context manager: its files are removed at the end.

    Args:
        model: in evaluation mode; folded is faster.
        device: where network and merge run; outputs wait on the CPU.
        limit: bytes that may stay in memory.
    """

    def __init__(self, model: PanopticModel, device: torch.device, limit: int = IN_MEMORY) -> None:
        self.model = model
        self.device = device
        self.truths: list[PanopticMap] = []
        self.names: list[str] = []
        self.missed: list[str] = []
        """images that could not be read, one line each"""
        self._limit = limit
        self._entries: list[tuple[dict[str, Any] | Path, Sizes]] = []
        self._bytes = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "CachedOutputs":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def __len__(self) -> int:
        return len(self.truths)

    @torch.inference_mode()
    def fill(self, dataset: PanopticDataset, indices: Sequence[int]) -> Iterator[int]:
        """Run the network on these samples; yields after each. Images that cannot be read are left out."""
        for index in indices:
            try:
                sample = dataset[index]
            except (DataError, InputError) as error:
                self.missed.append(str(error))
                yield index
                continue
            images, sizes = self.model.preprocess.batch([sample.image], str(self.device))
            outputs = self.model(images)
            fields = {
                # losses alone read these
                name: () if name in self.model.training_outputs else _moved(value, torch.device("cpu"))
                for name, value in outputs._asdict().items()
            }
            self._entries.append((self._kept(fields, len(self._entries)), sizes))
            self.truths.append(sample.panoptic)
            self.names.append(sample.file_name)
            yield index

    def _kept(self, fields: dict[str, Any], number: int) -> dict[str, Any] | Path:
        size = sum(tensor.nbytes for tensor in _tensors(fields))
        if self._bytes + size <= self._limit:
            self._bytes += size
            return fields
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="pansight-tune-")
        path = Path(self._folder.name) / f"{number}.pt"
        try:
            torch.save(fields, path)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"cannot write {path} ({str(error).splitlines()[0]}); free space, set TMPDIR, or use --limit"
            ) from error
        return path

    @torch.inference_mode()
    def map(self, number: int, settings: Any) -> PanopticMap:
        """The panoptic map of an image under some settings."""
        entry, sizes = self._entries[number]
        fields = torch.load(entry, weights_only=True) if isinstance(entry, Path) else entry
        outputs = self.model.outputs(**{name: _moved(value, self.device) for name, value in fields.items()})
        batch = self.model.merge(outputs, sizes, settings, form_for(self.device))
        return batch.to_maps(self.model.categories, sizes.output)[0]


def _moved(value: Any, device: torch.device) -> Any:
    return _mapped(value, lambda tensor: tensor.to(device))


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        return tuple(_mapped(one, change) for one in value)
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _tensors(one)

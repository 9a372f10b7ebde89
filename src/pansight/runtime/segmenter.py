"""One call from a picture to its panoptic map."""

import copy
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.models.base import PanopticModel
from pansight.panoptic import PanopticMap
from pansight.runtime.devices import choose_device
from pansight.runtime.images import MAX_PIXELS, Picture, read_image

Resize: TypeAlias = Literal["paper", "none"] | int
"""`paper`: the method's own rule; `none`: as it is, padded; a number: the short side, in pixels."""

Pictures: TypeAlias = list[Any] | tuple[Any, ...]
"""Several of Picture; not a `Sequence`, for a path is one, too."""

_MAX_INPUT_PIXELS = 64_000_000
"""Largest input of the network; a short side of 512 would make 1.3 gigapixels of a picture of 1 x 5000."""


_NOT_FINITE = "the network's output is not finite; its weights are damaged, fetch or train them anew"


class Segmenter:
    """A model, ready to be called on pictures.

    The model that is given stays as it is: a copy works, folded for speed, on `device`.

    Args:
        model: any method.
        device: `auto` (cuda, else mps, else cpu), or its name.
        resize: see Resize. Maps always have the size of their picture.
        object_threshold: score that a segment must exceed (0..1); None: what the model was trained for.
        overlap_threshold: share of itself that a segment must keep against others (0..); None: idem.
        batch_size: most pictures that go through the network at once. It changes speed and memory, not
            results: only pictures of equal padded size go together.
        fold: fold norms into the convolutions before them; results change by rounding alone.
        max_pixels: largest picture that is read from a file.

    Raises InputError for a device that is not here and for values out of range.
    """

    def __init__(
        self,
        model: PanopticModel,
        *,
        device: str | torch.device | None = None,
        resize: Resize = "paper",
        object_threshold: float | None = None,
        overlap_threshold: float | None = None,
        batch_size: int = 1,
        fold: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch size {batch_size} is no batch; use 1 or more")
        self.device = choose_device(device)
        self.preprocess = model.preprocess.resized(resize)
        self.batch_size = batch_size
        self.max_pixels = max_pixels
        self.model = model.optimized() if fold else copy.deepcopy(model).eval().requires_grad_(False)
        self.model.to(self.device)
        for name, value, top in (
            ("object_threshold", object_threshold, 1.0),
            ("overlap_threshold", overlap_threshold, math.inf),
        ):
            if value is not None:
                _set_threshold(self.model, name, value, top)

    @property
    def categories(self) -> Categories:
        """What the maps speak of."""
        return self.model.categories

    @overload
    def __call__(self, pictures: Picture) -> PanopticMap: ...
    @overload
    def __call__(self, pictures: Pictures) -> list[PanopticMap]: ...
    def __call__(self, pictures: Picture | Pictures) -> PanopticMap | list[PanopticMap]:
        """Segment one picture, or a list of them; what a picture can be is told by `read_image`.

        The map has the size of the picture, that of the upright one where a file or Pillow picture says by
        EXIF that it lies on its side. Raises InputError, naming the picture, when one cannot be used.
        """
        if not isinstance(pictures, list | tuple):
            return self.batch([read_image(pictures, max_pixels=self.max_pixels)])[0]
        maps: list[PanopticMap] = []
        for start in range(0, len(pictures), self.batch_size):
            images = []
            for number, picture in enumerate(pictures[start : start + self.batch_size], start + 1):
                try:
                    images.append(read_image(picture, max_pixels=self.max_pixels))
                except InputError as error:
                    if isinstance(picture, str | os.PathLike):  # named in the message already
                        raise
                    raise InputError(f"picture {number} of {len(pictures)}: {error}") from error
            maps += self.batch(images)
        return maps

    def batch(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> list[PanopticMap]:
        """Segment RGB pictures, uint8, of any sizes; one map each, in order.

        Raises InputError when the network's input would be too large or its output is not finite.
        """
        groups: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            groups.setdefault(self._padded_size(image), []).append(index)
        maps: dict[int, PanopticMap] = {}
        for members in groups.values():
            for start in range(0, len(members), self.batch_size):
                chunk = members[start : start + self.batch_size]
                maps.update(zip(chunk, self._segment([images[index] for index in chunk]), strict=True))
        return [maps[index] for index in range(len(images))]

    def _padded_size(self, image: UInt8[np.ndarray, "h w 3"]) -> tuple[int, int]:
        size = self.preprocess.target_size(image.shape[0], image.shape[1])
        if size[0] * size[1] > _MAX_INPUT_PIXELS:
            raise InputError(
                f"a picture of {image.shape[1]} x {image.shape[0]} would enter the network at "
                f"{size[1]} x {size[0]} pixels; use another --resize, such as paper"
            )
        return self.preprocess.padded_size([size])

    @torch.inference_mode()
    def _segment(self, images: list[UInt8[np.ndarray, "_ _ 3"]]) -> list[PanopticMap]:
        inputs, sizes = self.preprocess.batch(images, self.device)
        try:
            outputs = self.model(inputs)
            finite = _all_finite(outputs)
            merged = self.model.merge(outputs, sizes)
            # asked for only now: on a GPU the answer is waited for, and the merge is under way meanwhile
            if not bool(finite):
                raise InputError(_NOT_FINITE)
            return merged.to_maps(self.model.categories, sizes.output)
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
                # what is no number is no place to read at, either, and may end in an error half-way
                if not _sound(self.model):
                    raise InputError(_NOT_FINITE) from error
                raise
            height, width = sizes.padded
            raise InputError(
                f"not enough memory for {len(images)} x {width} x {height} pixels on {self.device}; "
                "use a smaller --resize or --batch-size"
            ) from error


def load(
    name_or_path: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    resize: Resize = "paper",
    object_threshold: float | None = None,
    overlap_threshold: float | None = None,
    batch_size: int = 1,
    fold: bool = True,
    max_pixels: int = MAX_PIXELS,
) -> Segmenter:
    """A Segmenter by the name of a known model (`pansight models` lists them) or a checkpoint's path.

    `weights` is a file, native or official, to use in place of the model's own; Segmenter tells the rest.
    Raises InputError for what Segmenter refuses, CheckpointError for weights that do not fit or cannot be
    had.
    """
    from pansight.zoo import load_model

    where = choose_device(device)  # before the weights: they may have to be fetched
    return Segmenter(
        load_model(name_or_path, weights=weights),
        device=where,
        resize=resize,
        object_threshold=object_threshold,
        overlap_threshold=overlap_threshold,
        batch_size=batch_size,
        fold=fold,
        max_pixels=max_pixels,
    )


def _set_threshold(model: PanopticModel, name: str, value: float, top: float) -> None:
    option = f"--{name.replace('_', '-')} ({name})"
    if not hasattr(model, name):
        raise InputError(f"{model.method} has no {option}; leave it out")
    if not 0 <= value <= top:  # false for NaN, too
        limits = "0 or more" if math.isinf(top) else f"0..{top:g}"
        raise InputError(f"{option} {value:g} is out of range; use {limits}")
    setattr(model, name, value)


def _sound(model: PanopticModel) -> bool:
    """Whether all weights are finite."""
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


def _all_finite(outputs: Any) -> Bool[Tensor, ""]:
    """Whether the outputs hold no NaN and no infinity, as a tensor: nothing waits for it yet.

    A sum tells, because both survive additions; it is of single precision, for half could overflow. Nested
    tuples count, too: masks between two stages decide by `> 0`, which hides what is no number.
    """
    sums = [t.sum(dtype=torch.float32) for t in _tensors(outputs) if t.is_floating_point()]
    return torch.stack(sums).isfinite().all()


def _tensors(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, tuple):
        for output in outputs:
            yield from _tensors(output)

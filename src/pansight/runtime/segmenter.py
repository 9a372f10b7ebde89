"""One call from a picture to its panoptic map."""

import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, overload

import numpy as np
import torch
from jaxtyping import Bool, Int32, UInt8
from torch import Tensor

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.merging import Form, MergeSettings
from pansight.models.base import HasInstances, HasSemantics, PanopticModel
from pansight.models.preprocess import Sizes
from pansight.panoptic import PanopticMap
from pansight.panoptic.instances import Instances
from pansight.runtime.devices import choose_device, form_for
from pansight.runtime.images import MAX_PIXELS, Picture, read_image

Resize: TypeAlias = Literal["paper", "none"] | int
"""`paper`: the method's own rule; `none`: as it is, padded; a number: the short side, in pixels
(of models that squash pictures, the side of the square)."""

Pictures: TypeAlias = list[Any] | tuple[Any, ...]
"""Several of Picture; not a `Sequence`, for a path is one, too."""

Rgb: TypeAlias = UInt8[np.ndarray, "_ _ 3"]
SemanticMap: TypeAlias = Int32[np.ndarray, "_ _"]

_Answer = TypeVar("_Answer")
_Decide: TypeAlias = Callable[[Any, Sizes], Callable[[], list[_Answer]]]
"""From a network's outputs to what each picture gets, in two steps: work on the device, then wait for it."""

_MAX_INPUT_PIXELS = 64_000_000
"""Largest input of the network; a short side of 512 would make 1.3 gigapixels of a picture of 1 x 5000."""


_DAMAGED = "not all weights are finite numbers; they are damaged, fetch or train them anew"
_NOT_FINITE = "the network's output is not finite; its weights are damaged, fetch or train them anew"


class Segmenter:
    """A model, ready to be called on pictures.

    The model that is given stays as it is: a copy works, folded for speed, on `device`.

    Args:
        model: any method.
        device: `auto` (cuda, else mps, else cpu), or its name.
        resize: see Resize. Maps always have the size of their picture.
        merge: changes of the model's `MergeSettings`, such as `{"stuff_area": 256}`, or a record of its own
            kind; None: what the model was trained for.
        form: of the merge, see `pansight.merging.Form`; None: `pruned` on a CPU, `fixed` elsewhere.
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
        merge: Mapping[str, Any] | MergeSettings | None = None,
        form: Form | None = None,
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
        # outputs show what is wrong with the network alone, not with what the merge does with its weights
        if not _sound(model):
            raise InputError(_DAMAGED)
        self.model = model.optimized() if fold else copy.deepcopy(model).eval().requires_grad_(False)
        self.model.to(self.device)
        self.merge_settings = model.merge_settings.replaced(merge)
        self.form = form or form_for(self.device)

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
        return self._list(pictures, self.batch)

    @overload
    def instances(self, pictures: Picture) -> Instances: ...
    @overload
    def instances(self, pictures: Pictures) -> list[Instances]: ...
    def instances(self, pictures: Picture | Pictures) -> Instances | list[Instances]:
        """The objects that the model finds, best first, of one picture or of each in a list.

        They may overlap, and are more than those in the map: of the merge's settings `mask_threshold` alone
        applies. Masks have the size of the picture. Raises InputError where the model finds none as such (see
        `has_instances`), and as calling the Segmenter does.
        """
        self._need(HasInstances, "instance", "take the things of its maps, segmenter(picture).things()")
        if not isinstance(pictures, list | tuple):
            return self._batch([read_image(pictures, max_pixels=self.max_pixels)], self._instances)[0]
        return self._list(pictures, lambda images: self._batch(images, self._instances))

    @overload
    def semantics(self, pictures: Picture) -> SemanticMap: ...
    @overload
    def semantics(self, pictures: Pictures) -> list[SemanticMap]: ...
    def semantics(self, pictures: Picture | Pictures) -> SemanticMap | list[SemanticMap]:
        """The model's semantic map (height x width), made before things are painted, of one picture or each.

        Contiguous indices of stuff categories, -1 where the model sees something else: a thing, for its
        semantic map does not tell those apart, or nothing. Things and stuff together are
        `segmenter(picture).semantic()`. Raises InputError where the model has no such map, and as calling the
        Segmenter does.
        """
        self._need(HasSemantics, "semantic", "take that of its maps, segmenter(picture).semantic()")
        if not isinstance(pictures, list | tuple):
            return self._batch([read_image(pictures, max_pixels=self.max_pixels)], self._semantics)[0]
        return self._list(pictures, lambda images: self._batch(images, self._semantics))

    @property
    def has_instances(self) -> bool:
        """Whether the model finds objects as such, which `instances` gives."""
        return isinstance(self.model, HasInstances)

    def batch(self, images: Sequence[Rgb]) -> list[PanopticMap]:
        """Segment RGB pictures, uint8, of any sizes; one map each, in order.

        Raises InputError when the network's input would be too large or its output is not finite.
        """
        return self._batch(images, self._maps)

    def batch_with_instances(self, images: Sequence[Rgb]) -> list[tuple[PanopticMap, Instances]]:
        """As `batch`, and the `instances` of each picture beside its map; the network runs once for both.

        Raises InputError as `batch` and `instances` do.
        """
        self._need(HasInstances, "instance", "use batch")

        def both(outputs: Any, sizes: Sizes) -> Callable[[], list[tuple[PanopticMap, Instances]]]:
            maps, instances = self._maps(outputs, sizes), self._instances(outputs, sizes)
            return lambda: list(zip(maps(), instances(), strict=True))

        return self._batch(images, both)

    def _need(self, output: type[HasInstances] | type[HasSemantics], kind: str, remedy: str) -> None:
        if not isinstance(self.model, output):
            raise InputError(f"{self.model.method} has no {kind} output of its own; {remedy}")

    def _list(self, pictures: Pictures, batch: Callable[[Sequence[Rgb]], list[_Answer]]) -> list[_Answer]:
        """Read a batch of pictures at a time, so that no more are held than that."""
        answers: list[_Answer] = []
        for start in range(0, len(pictures), self.batch_size):
            images = []
            for number, picture in enumerate(pictures[start : start + self.batch_size], start + 1):
                try:
                    images.append(read_image(picture, max_pixels=self.max_pixels))
                except InputError as error:
                    if isinstance(picture, str | os.PathLike):  # named in the message already
                        raise
                    raise InputError(f"picture {number} of {len(pictures)}: {error}") from error
            answers += batch(images)
        return answers

    def _batch(self, images: Sequence[Rgb], decide: _Decide[_Answer]) -> list[_Answer]:
        groups: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            groups.setdefault(self._padded_size(image), []).append(index)
        answers: dict[int, _Answer] = {}
        for members in groups.values():
            for start in range(0, len(members), self.batch_size):
                chunk = members[start : start + self.batch_size]
                found = self._run([images[index] for index in chunk], decide)
                answers.update(zip(chunk, found, strict=True))
        return [answers[index] for index in range(len(images))]

    def _maps(self, outputs: Any, sizes: Sizes) -> Callable[[], list[PanopticMap]]:
        merged = self.model.merge(outputs, sizes, self.merge_settings, self.form)
        return lambda: merged.to_maps(self.model.categories, sizes.output)

    def _instances(self, outputs: Any, sizes: Sizes) -> Callable[[], list[Instances]]:
        assert isinstance(self.model, HasInstances)
        found = self.model.instances(outputs, sizes, self.merge_settings, self.form)
        return lambda: [
            Instances(
                masks.cpu().numpy(),
                boxes.float().cpu().numpy(),
                categories.long().cpu().numpy(),
                scores.float().cpu().numpy(),
            )
            for masks, boxes, categories, scores in found
        ]

    def _semantics(self, outputs: Any, sizes: Sizes) -> Callable[[], list[SemanticMap]]:
        assert isinstance(self.model, HasSemantics)
        labels = self.model.semantics(outputs, sizes, self.form)
        categories = np.append(-1, self.categories.stuff_indices).astype(np.int32)

        def fetch() -> list[SemanticMap]:
            maps = categories[labels.clamp(min=0).cpu().numpy()]
            return [one[:height, :width] for one, (height, width) in zip(maps, sizes.output, strict=True)]

        return fetch

    def _padded_size(self, image: UInt8[np.ndarray, "h w 3"]) -> tuple[int, int]:
        size = self.preprocess.target_size(image.shape[0], image.shape[1])
        if size[0] * size[1] > _MAX_INPUT_PIXELS:
            raise InputError(
                f"a picture of {image.shape[1]} x {image.shape[0]} would enter the network at "
                f"{size[1]} x {size[0]} pixels; use another --resize, such as paper"
            )
        return self.preprocess.padded_size([size])

    @torch.inference_mode()
    def _run(self, images: list[Rgb], decide: _Decide[_Answer]) -> list[_Answer]:
        inputs, sizes = self.preprocess.batch(images, self.device)
        try:
            outputs = self.model(inputs)
            finite = _all_finite(outputs)
            fetch = decide(outputs, sizes)
            # asked for only now: on a GPU the answer is waited for, and the merge is under way meanwhile
            if not bool(finite):
                raise InputError(_NOT_FINITE)
            return fetch()
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
    merge: Mapping[str, Any] | MergeSettings | None = None,
    form: Form | None = None,
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
        merge=merge,
        form=form,
        batch_size=batch_size,
        fold=fold,
        max_pixels=max_pixels,
    )


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

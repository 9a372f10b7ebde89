"""One call from an image to its panoptic map."""

import logging
import os
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import numpy as np

from pansight.categories import Categories
from pansight.errors import CheckpointError, InputError
from pansight.merging import Form, MergeSettings
from pansight.panoptic import PanopticBatch, PanopticMap
from pansight.panoptic.instances import Instances
from pansight.runtime.cores import usable_cores
from pansight.runtime.engines.opening import EngineOptions, open_engine
from pansight.runtime.engines.protocol import Answers, DetailedEngine, Engine, Output, Rgb, SemanticMap
from pansight.runtime.grouping import chunks_of, input_size, run_in_chunks
from pansight.runtime.images import MAX_PIXELS, Picture, read_image
from pansight.runtime.inputs import printable
from pansight.runtime.joining import joined
from pansight.runtime.stream import Answer, Loop, Segmented

if TYPE_CHECKING:
    import torch

    from pansight.data.class_maps import ClassMap
    from pansight.runtime.translation import Translation
    from pansight.video.frames import SourceEvent
    from pansight.video.sinks import TrackedFrame
    from pansight.video.sources import SourceOptions
    from pansight.video.tracking import TrackSettings

Resize: TypeAlias = Literal["paper", "none"] | int
"""`paper`: the method's own rule; `none`: as it is, padded; a number: the short side, in pixels
(of models that squash images, the side of the square)."""

Pictures: TypeAlias = list[Any] | tuple[Any, ...]
"""Several of `Picture`; not a `Sequence`, for a path is one, too."""

_log = logging.getLogger(__name__)

_Frame = TypeVar("_Frame")
_Found = TypeVar("_Found")

_NOT_FINITE = "the network's output is not finite; its weights are damaged, fetch or train them again"

_KINDS: dict[str, tuple[str, str]] = {
    "instances": ("instance", "take the things of its maps, segmenter(image).things()"),
    "semantics": ("semantic", "take that of its maps, segmenter(image).semantic()"),
}


class Segmenter:
    """An engine, ready to be called on images.

        segmenter = pansight.load("yoso-tiny")
        panoptic = segmenter("street.jpg")                      # one image
        for result in segmenter.stream(sorted(folder.glob("*.jpg"))):   # many, with all cores at work
            print(result.frame, result.problem or result.panoptic.segments)

    Threads may share a Segmenter: it is immutable after construction, and engines are thread-safe.

    Args:
        engine: what runs the network.
        batch_size: most images that go through the network at once. It changes speed and memory, not
            results: only images of equal padded size go together.
        max_pixels: largest image that is read from a file.
        translation: to categories other than the model's own, in which maps then are; see `load`.

    Raises InputError for values out of range.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        batch_size: int = 1,
        max_pixels: int = MAX_PIXELS,
        translation: "Translation | None" = None,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch size must be 1 or more, got {batch_size}")
        self.engine = engine
        self.batch_size = batch_size if engine.max_batch is None else min(batch_size, engine.max_batch)
        self.max_pixels = max_pixels
        self.translation = translation

    def over(self, engine: Engine) -> "Segmenter":
        """The same on another engine of the same model."""
        return Segmenter(
            engine, batch_size=self.batch_size, max_pixels=self.max_pixels, translation=self.translation
        )

    @property
    def categories(self) -> Categories:
        """The categories of the maps."""
        return self.engine.spec.categories if self.translation is None else self.translation.target

    @property
    def device(self) -> str:
        """Where the network runs."""
        return self.engine.device

    @property
    def has_instances(self) -> bool:
        """Whether the model has instances of its own, which `instances` gives."""
        return self._gives("instances")

    @property
    def has_embeddings(self) -> bool:
        """Whether the engine gives the vector that made each segment's mask."""
        return self._gives("embeddings")

    @property
    def has_semantics(self) -> bool:
        """Whether the model has a semantic map of its own, which `semantics` gives."""
        return self._gives("semantics")

    @overload
    def predict(self, pictures: Picture) -> PanopticMap: ...
    @overload
    def predict(self, pictures: Pictures) -> list[PanopticMap]: ...
    def predict(self, pictures: Picture | Pictures) -> PanopticMap | list[PanopticMap]:
        """Segment one image, or a list of them; see `read_image` for what an image can be.

        The map has the size of the image, that after rotation to upright where a file's or Pillow image's
        EXIF data asks for it. Calling the Segmenter does the same.

        Raises InputError, naming the image, when one cannot be used; CheckpointError when the network's
        output is not finite; DeviceError when memory runs out.
        """
        return self._one_or_list(pictures, self.batch)

    __call__ = predict

    @overload
    def instances(self, pictures: Picture) -> Instances: ...
    @overload
    def instances(self, pictures: Pictures) -> list[Instances]: ...
    def instances(self, pictures: Picture | Pictures) -> Instances | list[Instances]:
        """The objects that the model finds, best first, of one image or of each in a list.

        They may overlap, and are more than those in the map: the merge's thresholds do not apply. Masks
        have the size of the image. Raises InputError where the model has none of its own (see
        `has_instances`), and what `predict` does.
        """
        self._need("instances")

        def find(images: Sequence[Rgb]) -> list[Instances]:
            return self._grouped(images, lambda chunk: self._objects(self._answers(chunk, ["instances"])))

        return self._one_or_list(pictures, find)

    @overload
    def semantics(self, pictures: Picture) -> SemanticMap: ...
    @overload
    def semantics(self, pictures: Pictures) -> list[SemanticMap]: ...
    def semantics(self, pictures: Picture | Pictures) -> SemanticMap | list[SemanticMap]:
        """The model's semantic map (height x width), before the merge pastes things, of one image or each.

        Contiguous indices of stuff categories, -1 where the model sees something else: a thing, since its
        semantic map does not separate those, or nothing. Things and stuff together are
        `segmenter(image).semantic()`. Raises InputError where the model has no such map, and what `predict`
        does.
        """
        self._need("semantics")

        def find(images: Sequence[Rgb]) -> list[SemanticMap]:
            return self._grouped(images, lambda chunk: self._stuff(self._answers(chunk, ["semantics"])))

        return self._one_or_list(pictures, find)

    def batch(self, images: Sequence[Rgb]) -> list[PanopticMap]:
        """Segment RGB images, uint8, of any sizes; one map each, in order.

        Raises what `predict` does.
        """
        return self._grouped(images, lambda chunk: self._maps(self.engine(chunk), chunk))

    def batch_with_instances(self, images: Sequence[Rgb]) -> list[tuple[PanopticMap, Instances]]:
        """As `batch`, and the `instances` of each image with its map; the network runs once for both."""
        self._need("instances", "use batch")
        answers = self._detailed(["panoptic", "instances"], images)
        return [(one.panoptic, _given(one.instances)) for one in answers]

    def tensors(self, pictures: Pictures) -> PanopticBatch:
        """Panoptic maps of images as tensors that stay on the engine's device, for further work there.

        The maps have the size of the largest image; those of smaller ones are in the upper left corner, with
        void around them. Scores of a batch are NaN where the network's output was not finite, since checking
        would make the device wait.

            batch = segmenter.tensors([frame])
            people = batch.categories == segmenter.categories.index("person")
        """
        if not pictures:
            raise InputError("no images to segment; give at least one")
        if self.translation is not None:
            raise InputError(
                "tensors have the model's own categories; leave out the class map, or use predict"
            )
        images = self._read_list(pictures, 0, len(pictures))
        chunks = self._chunks(images)
        batches = [self.engine([images[index] for index in chunk]) for chunk in chunks]
        return joined(batches, chunks)

    def stream(
        self,
        frames: Iterable[_Frame],
        *,
        read: Callable[[_Frame], Any] | None = None,
        follow: Callable[[Segmented[_Frame]], object] | None = None,
        followers: int = 1,
        name: Callable[[int, _Frame], str] | None = None,
        instances: bool = False,
        embeddings: bool = False,
        patient: bool = True,
    ) -> Generator[Segmented[_Frame], None, None]:
        """Segment frame after frame of any iterable: a list of files, a generator, a camera.

        Reading, network and the consumer work at the same time, a bounded number of frames apart.
        Results come in order. A frame that cannot be used is a result with an `error`, and the next one
        follows; damaged weights, a device without memory and errors of the iterable itself are raised.
        Closing the iterator, or leaving it, stops its threads.

            for result in segmenter.stream(video):
                show(result.image, result.panoptic)

        Args:
            frames: consumed in a separate thread.
            read: a frame to RGB pixels, or to a record that has them as `image` (a `Sample`), called in
                several threads; None: `read_image`.
            follow: called with each result, in `followers` threads, before it is yielded: for what should
                not hold up the next frame, such as writing. Its errors are raised.
            followers: 1 keeps the order of the frames.
            name: the name of a frame in messages; by default its path, or its number.
            instances: find instances, too, in the same run of the network.
            embeddings: give the vector that made each segment's mask, too, as `Tracker` needs it; None where
                the engine has none.
            patient: whether a batch waits until it is full; False for live sources.
        """
        wanted: list[Output] = ["panoptic"]
        if instances:
            self._need("instances")
            wanted.append("instances")
        if embeddings and self.has_embeddings:
            wanted.append("embeddings")
        loop = Loop(
            read=read or self._read,
            check=self._padded_size,
            segment=self._alone if len(wanted) == 1 else partial(self._detailed, wanted),
            name=name or _name,
            batch_size=self.batch_size,
            follow=follow,
            readers=min(4, usable_cores()),
            followers=followers,
            patient=patient,
        )
        return loop.run(frames)

    def track(
        self,
        videos: Any,
        *,
        settings: "TrackSettings | None" = None,
        options: "SourceOptions | None" = None,
        on_event: "Callable[[SourceEvent], None] | None" = None,
    ) -> "Generator[TrackedFrame, None, None]":
        """Segment a video, or several at once, with persistent ids: its frames, as soon as they are ready.

            for result in pansight.load("yoso-tiny").track("film.mp4"):
                print(result.index, result.seconds, [segment.id for segment in result.panoptic.segments])

        Args:
            videos: a file, the number of a camera, an address (rtsp://, http:// ...), a pattern or folder of
                images, `-` for standard input; or a list of these.
            settings: how identities are kept.
            options: how videos are read: every frame or the latest, how long a lost stream is retried.
            on_event: called, from other threads, when a video starts, breaks off, comes back or ends.

        Raises InputError for a video that cannot be read (with several, when the others have ended),
        MissingExtraError without PyAV.
        """
        from pansight.video.pipeline import track  # stands on this module

        return track(self, videos, settings, options, on_event)

    def _alone(self, images: Sequence[Rgb]) -> list[Answer]:
        return [Answer(panoptic) for panoptic in self.batch(images)]

    def _detailed(self, wanted: Collection[Output], images: Sequence[Rgb]) -> list[Answer]:
        def find(chunk: Sequence[Rgb]) -> list[Answer]:
            answers = self._answers(chunk, wanted)
            maps = self._maps(_given(answers.panoptic), chunk)
            found_objects = None if answers.instances is None else self._objects(answers)
            instances: Sequence[Instances | None] = found_objects or [None] * len(chunk)
            found: Sequence[Any] | None = answers.embeddings
            vectors = found or [None] * len(chunk)
            return [
                Answer(one, objects, None if rows is None else rows[[s.id - 1 for s in one.segments]])
                for one, objects, rows in zip(maps, instances, vectors, strict=True)
            ]

        return self._grouped(images, find)

    def _gives(self, output: Output) -> bool:
        return isinstance(self.engine, DetailedEngine) and output in self.engine.outputs

    def _need(self, output: Output, remedy: str | None = None) -> None:
        if not self._gives(output):
            kind, usual = _KINDS[output]
            method = self.engine.spec.method
            raise InputError(f"{method} has no {kind} output of its own; {remedy or usual}")

    def _answers(self, images: Sequence[Rgb], wanted: Collection[Output]) -> Answers:
        assert isinstance(self.engine, DetailedEngine)
        return self.engine.answers(images, wanted)

    def _maps(self, batch: PanopticBatch, images: Sequence[Rgb]) -> list[PanopticMap]:
        batch = batch.host()
        if np.isnan(batch.scores.numpy()).any():
            raise CheckpointError(_NOT_FINITE)
        if batch.overflow is not None and bool(batch.overflow.any()):
            _log.warning("more masks than merge.budget were kept; the best were merged: raise merge.budget")
        own = self.engine.spec.categories
        maps = batch.to_maps(own, [(image.shape[0], image.shape[1]) for image in images])
        return maps if self.translation is None else [self.translation(one) for one in maps]

    def _objects(self, answers: Answers) -> list[Instances]:
        found = list(_given(answers.instances))
        return found if self.translation is None else [self.translation.instances(one) for one in found]

    def _stuff(self, answers: Answers) -> list[SemanticMap]:
        found = list(_given(answers.semantics))
        return found if self.translation is None else [self.translation.semantics(one) for one in found]

    def _one_or_list(self, pictures: Any, find: Callable[[Sequence[Rgb]], list[_Found]]) -> Any:
        """Read a batch of images at a time, so that no more are held than that."""
        if not isinstance(pictures, list | tuple):
            return find([self._read(pictures)])[0]
        found: list[_Found] = []
        for start in range(0, len(pictures), self.batch_size):
            found += find(self._read_list(pictures, start, start + self.batch_size))
        return found

    def _read(self, picture: Any) -> Rgb:
        return read_image(picture, max_pixels=self.max_pixels)

    def _read_list(self, pictures: Pictures, start: int, stop: int) -> list[Rgb]:
        images = []
        for number, picture in enumerate(pictures[start:stop], start + 1):
            try:
                images.append(self._read(picture))
            except InputError as error:
                if isinstance(picture, str | os.PathLike):  # named in the message already
                    raise
                raise InputError(f"image {number} of {len(pictures)}: {error}") from error
        return images

    def _grouped(
        self, images: Sequence[Rgb], run: Callable[[Sequence[Rgb]], Sequence[_Found]]
    ) -> list[_Found]:
        return run_in_chunks(images, self._chunks(images), run)

    def _chunks(self, images: Sequence[Rgb]) -> list[list[int]]:
        return chunks_of([self._padded_size(image) for image in images], self.batch_size)

    def _padded_size(self, image: Rgb) -> tuple[int, int]:
        return input_size(image, self.engine.spec.preprocess)


def load(
    name_or_path: str | os.PathLike[str],
    *,
    engine: str = "auto",
    weights: str | os.PathLike[str] | None = None,
    device: "str | torch.device | None" = None,
    precision: Literal["float32", "bfloat16", "float16"] | None = None,
    form: Form | None = None,
    merge: Mapping[str, Any] | MergeSettings | None = None,
    resize: Resize = "paper",
    batch_size: int = 1,
    max_pixels: int = MAX_PIXELS,
    max_memory: int | str | None = None,
    class_map: "str | os.PathLike[str] | ClassMap | None" = None,
) -> Segmenter:
    """A Segmenter by the name of a model (`pansight models` lists them), a checkpoint, an exported file, or
    `hf:USER/MODEL` (the Hugging Face Hub, with the extra `hub`).

        pansight.load("yoso-tiny")
        pansight.load("yoso-tiny", engine="compiled", device="cuda", precision="float16")
        pansight.load("runs/street/best.safetensors", merge={"stuff_area": 256})

    Args:
        engine: `auto`: what the file was made for; for models, on a CPU, the fastest runtime installed, else
            `torch`; `torch`: PyTorch with everything constant folded into the weights; `eager`: as trained;
            `compiled`: by torch.compile; `onnxruntime`, `openvino`: converted on first use.
        weights: a file, native or official, or `hf:USER/MODEL`, to use in place of the model's own.
        device: `auto` or None (cuda, else mps, else cpu), or its name.
        precision: of the network; None: float32.
        form: of the merge; None: `pruned` on the CPU, else `fixed`.
        merge: merge settings to change, such as {"stuff_area": 256}, or a record of the model's own kind.
        resize: see Resize. Maps always have the size of their image.
        batch_size, max_pixels: see Segmenter.
        max_memory: most bytes that a merge on the host holds besides the network's outputs, such as "512MB".
            The maps are the same.
        class_map: a file, or what is in it: lines `new category: the model's`, a list of several, or the
            model's first, as `pansight data map` writes them. Maps are then in the new categories; what no
            line names is void, and things and stuff that become one are stuff.

    Raises DataError for a class map that does not fit, InputError for values out of range, DeviceError for a
    device that does not exist, CheckpointError for weights that do not fit, are damaged or unavailable.
    """
    if max_memory is not None:
        ceiling = {"max_memory": max_memory}
        merge = merge.replaced(ceiling) if isinstance(merge, MergeSettings) else {**(merge or {}), **ceiling}
    options = EngineOptions(
        device=None if device is None else str(device),
        precision=precision,
        form=form,
        resize=resize,
        merge=merge,
    )
    opened = open_engine(name_or_path, engine, options, weights)
    translation = None
    if class_map is not None:
        from pansight.data.class_maps import class_map as as_class_map
        from pansight.data.class_maps import read_class_map
        from pansight.runtime.translation import translate_by_map

        if isinstance(class_map, str | os.PathLike):
            class_map = read_class_map(Path(class_map))
        else:
            class_map = as_class_map(class_map, "class_map")
        translation = translate_by_map(class_map, opened.spec.categories)
    return Segmenter(opened, batch_size=batch_size, max_pixels=max_pixels, translation=translation)


def _given(answer: _Found | None) -> _Found:
    assert answer is not None, "it was asked for"
    return answer


def _name(index: int, frame: object) -> str:
    """How messages name a frame: by its path, or its number."""
    return printable(frame) if isinstance(frame, str | os.PathLike) else f"frame {index}"

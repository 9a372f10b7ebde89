"""What an engine is: images in, panoptic maps out, in plain primitives.

Nothing above an engine knows what runs the network. An engine preprocesses, runs the network and merges; it
chose its merge form (`pansight.merging`) when it was built.
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from pansight.panoptic import PanopticBatch
from pansight.panoptic.instances import Instances
from pansight.zoo.spec import ModelSpec

Rgb: TypeAlias = UInt8[np.ndarray, "_ _ 3"]
"""An image: height x width x 3, RGB, 0..255."""

SemanticMap: TypeAlias = Int32[np.ndarray, "_ _"]
"""Contiguous category indices, -1 where there is none."""

Size: TypeAlias = tuple[int, int]
"""Height and width in pixels."""

Output: TypeAlias = Literal["panoptic", "instances", "semantics", "embeddings"]


@runtime_checkable
class Engine(Protocol):
    """Runs one model.

    Engines may be called from several threads at once: an engine whose runtime cannot do that holds a lock.
    """

    @property
    def spec(self) -> ModelSpec:
        """Method, configuration with its merge settings, categories, preprocess."""

    @property
    def device(self) -> str:
        """Where it runs, in a word: `cpu`, `cuda:0`."""

    @property
    def max_batch(self) -> int | None:
        """Most frames that a call takes; None: as many as there is memory for."""

    def __call__(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> PanopticBatch:
        """Panoptic maps of one batch, on the engine's device.

        All frames enter the network at one padded size (`spec.preprocess.padded_size`). Map i, `ids[i]`, has
        `sizes[i]` (height, width), that of frame i where `sizes` is None, in its upper left corner. Scores
        are NaN where the network's output was not finite and asking would have made the device wait.

        Raises InputError for a frame that it cannot take, CheckpointError for weights that are damaged,
        DeviceError for a lack of memory.
        """


class Answers(NamedTuple):
    """What was asked for of a batch; None what was not."""

    panoptic: PanopticBatch | None = None
    instances: list[Instances] | None = None
    """of each frame, best first"""
    semantics: list[SemanticMap] | None = None
    """of each frame, -1 where the model sees no stuff"""
    embeddings: list[Float32[np.ndarray, "_ _"]] | None = None
    """of each frame, a row for each row of the map's segment table: the vector that made its mask, zeros
    where there is none; given with the panoptic output alone"""


@runtime_checkable
class DetailedEngine(Engine, Protocol):
    """An engine that also gives what its model decides on the way to the map, in one run of the network."""

    @property
    def outputs(self) -> frozenset[Output]:
        """What it can give."""

    def answers(
        self, frames: Sequence[Rgb], wanted: Collection[Output], sizes: Sequence[Size] | None = None
    ) -> Answers:
        """As a call, for each output that is wanted."""

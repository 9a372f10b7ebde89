"""An endless, repeatable order of samples that can be entered anywhere."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch.utils.data import Dataset, Sampler

from pansight.data.sample import Sample
from pansight.data.transforms import Transform, generator_for
from pansight.errors import DataError, InputError, PansightError
from pansight.training.batch import Example, make_example

MISSING = 0.01
"""share of a data set's images that may be unreadable"""

TRIES = 8
"""images one after the other that may be unreadable before an example is given up"""

Key = tuple[int, int]
"""epoch and index"""


@runtime_checkable
class Samples(Protocol):
    """Labelled images, accessible one by one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class ErrorsAsItems(Dataset[Any]):
    """The items of `items`, and in place of those that cannot be read, the PansightError that says why.

    What a worker process raises comes out as a page of traceback; what it returns stays one line.
    """

    def __init__(self, items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.items[key]
        except PansightError as error:
            return error


class ExampleStream:
    """Augmented examples by (epoch, index): the same key and seed give the same example, in any process.

    In place of an image that cannot be read comes the next one of the data set, and the example says so in
    `missed`: a batch is never short, in whichever process. Raises DataError where TRIES cannot be read.
    """

    def __init__(self, samples: Samples, transform: Transform, seed: int) -> None:
        """Raises DataError when there are no samples."""
        if len(samples) == 0:
            raise DataError("the data set to train on has no images; give another")
        self.samples = samples
        self.transform = transform
        self.seed = seed

    def __getitem__(self, key: Key) -> Example:
        epoch, index = key
        missed: list[tuple[int, str]] = []
        for ahead in range(min(TRIES, len(self.samples))):
            place = (index + ahead) % len(self.samples)
            try:
                sample = self.samples[place]
            except (DataError, InputError) as error:
                missed.append((place, str(error)))
                continue
            example = make_example(sample, self.transform, generator_for((self.seed, epoch, index)))
            return example._replace(missed=tuple(missed)) if missed else example
        raise DataError(missed[0][1])


class EndlessBatches(Sampler[list[Key]]):
    """Keys of batch after batch, reshuffled every epoch; batches run on across the ends of epochs.

    Args:
        length: samples in the data set.
        batch_size: samples per batch.
        seed: of the order.
        shuffle: False where samples are new anyway, as scenes are.
        start: batches (of this process) already consumed.
        rank, world: this process among `world`; together they have each sample once per epoch.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        *,
        shuffle: bool = True,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.start = start
        self.rank = rank
        self.world = world
        self._order: tuple[int, np.ndarray] | None = None

    def __iter__(self) -> Iterator[list[Key]]:
        batch = self.start
        while True:
            first = (batch * self.world + self.rank) * self.batch_size
            yield [self._key(position) for position in range(first, first + self.batch_size)]
            batch += 1

    def _key(self, position: int) -> Key:
        epoch, place = divmod(position, self.length)
        if not self.shuffle:
            return epoch, place
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, generator_for((self.seed, epoch)).permutation(self.length)
        return epoch, int(self._order[1][place])

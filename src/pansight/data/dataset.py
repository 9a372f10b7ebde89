"""What every data set is, wherever it came from."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from pansight.categories import Categories
from pansight.data.sample import Sample
from pansight.panoptic import PanopticMap


@runtime_checkable
class PanopticDataset(Protocol):
    """Labelled images as a lazy sequence.

    `names` holds the image's file name of each sample and `image_ids` the data set's own name for it; both
    are known without opening an image. `truth(i)` is the panoptic map of sample i, its image left closed.
    Samples can be asked for from several threads, and from processes that got the data set pickled or by
    fork.
    """

    @property
    def categories(self) -> Categories: ...

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def image_ids(self) -> Sequence[int | str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    def truth(self, index: int, /) -> PanopticMap: ...

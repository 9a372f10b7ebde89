"""The description of a model before it is built."""

from dataclasses import dataclass

from pydantic import BaseModel

from pansight.categories import Categories
from pansight.models.preprocess import Preprocess


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """A weights file that the authors of a paper published.

    `sha256` (hexadecimal) and `size` (bytes) are None where they are unknown; the checksum of the
    first download is kept then. `licence` is what its authors' repository says, `page` that repository.
    """

    name: str
    url: str
    sha256: str | None = None
    size: int | None = None
    licence: str = "not stated"
    page: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A published result of exactly these weights at exactly this input size.

    `pq` is panoptic quality in per cent, `fps` images per second at batch 1 on `hardware`.
    """

    pq: float
    source: str
    fps: float | None = None
    hardware: str = ""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A named model: method, configuration, data set, input, and where its weights are.

    `weights` are files to download; `embedded` is the name of a file that ships with the package. A model
    with neither is an architecture for training.
    """

    name: str
    method: str
    config: BaseModel
    categories: Categories
    preprocess: Preprocess
    description: str
    weights: tuple[ReleasedFile, ...] = ()
    embedded: str | None = None
    figures: tuple[Figure, ...] = ()
    licence: str | None = None
    """of an embedded model's weights; of others their files say it"""

    @property
    def categories_name(self) -> str:
        """The name of the category set."""
        return self.categories.name

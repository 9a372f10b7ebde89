"""What an evaluation answers: panoptic, segmentation and recognition quality by group and by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pansight.categories import Category


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """The quality of one category, fractions of 1, and the counts behind it.

    `iou` is the sum of the IoUs of the `tp` matched pairs. PQ = iou / (tp + fp / 2 + fn / 2) = SQ * RQ,
    with SQ = iou / tp and RQ = tp / (tp + fp / 2 + fn / 2). All three are 0 where nothing counts, as in the
    reference; `counted` tells.
    """

    category: Category
    tp: int
    fp: int
    fn: int
    iou: float

    @property
    def counted(self) -> bool:
        """Whether the category occurs in truth or prediction, and so enters the averages."""
        return self.tp + self.fp + self.fn > 0

    @property
    def pq(self) -> float:
        """Panoptic quality."""
        return self.iou / self._size if self.counted else 0.0

    @property
    def sq(self) -> float:
        """Segmentation quality: mean IoU of the matched pairs."""
        return self.iou / self.tp if self.tp else 0.0

    @property
    def rq(self) -> float:
        """Recognition quality: the F1 score of finding segments."""
        return self.tp / self._size if self.counted else 0.0

    @property
    def _size(self) -> float:
        return self.tp + 0.5 * self.fp + 0.5 * self.fn


@dataclass(frozen=True, slots=True)
class Quality:
    """Averages over the `n` categories of a group that count; fractions of 1."""

    pq: float
    sq: float
    rq: float
    n: int


@dataclass(frozen=True, slots=True)
class PanopticQualityResult:
    """The answer of an evaluation.

    `all`, `things`, `stuff`: the averages, None where no category of the group counts. `classes`: one entry
    per category, by contiguous index. `images`: how many were scored. `warnings`: remarks worth a look,
    one per line.
    """

    all: Quality | None
    things: Quality | None
    stuff: Quality | None
    classes: tuple[ClassQuality, ...]
    images: int
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Unrounded fractions: `all`, `things`, `stuff` (or None), and `classes` by data-set category id."""
        groups = {"all": self.all, "things": self.things, "stuff": self.stuff}
        return {
            **{
                name: group and {"pq": group.pq, "sq": group.sq, "rq": group.rq, "n": group.n}
                for name, group in groups.items()
            },
            "classes": {
                str(one.category.dataset_id): {
                    "name": one.category.name,
                    "pq": one.pq,
                    "sq": one.sq,
                    "rq": one.rq,
                    "tp": one.tp,
                    "fp": one.fp,
                    "fn": one.fn,
                    "iou": one.iou,
                }
                for one in self.classes
            },
            "images": self.images,
            "warnings": list(self.warnings),
        }


def average(classes: Sequence[ClassQuality]) -> Quality | None:
    """The mean over the classes that count; None where none does."""
    counted = [one for one in classes if one.counted]
    if not counted:
        return None
    n = len(counted)
    return Quality(
        pq=sum(one.pq for one in counted) / n,
        sq=sum(one.sq for one in counted) / n,
        rq=sum(one.rq for one in counted) / n,
        n=n,
    )

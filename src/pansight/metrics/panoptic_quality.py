"""Panoptic quality over any number of images, in constant memory and independent of their order.

Kirillov et al., Panoptic Segmentation (CVPR 2019); reference implementation: panopticapi.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Integer

from pansight.categories import Categories
from pansight.errors import CategoryError, InputError
from pansight.metrics.counts import Counts, with_remarks
from pansight.metrics.matched import MatchedImage, match_coco, match_maps, same_classes
from pansight.metrics.remarks import Remarks
from pansight.metrics.results import PanopticQualityResult
from pansight.panoptic import PanopticMap


class PanopticQuality:
    """Accumulates matches image by image; `compute` may be called at any time.

    Two modes, equal on clean data:

    - default: areas of true segments are counted in the map; every crowd region excuses predictions of its
      category; true ids that are not listed, or of a category unknown here, are void, as is id 0 even if
      listed; listed true segments without pixels do not exist.
    - `exact=True`: the answer of the reference implementation, quirks included: the areas of true segments
      are taken from the JSON; only the last listed crowd of a category counts; unlisted true ids are
      background, not void; a true segment of an unknown category counts nowhere but is not void; listed true
      segments without pixels are missed; a listed id 0 is a segment.

    Both note each of these in `PanopticQualityResult.warnings`. What is counted is of int64 and
    additive, so accumulators filled anywhere can be merged, exactly: `merge` in one process, `state` and
    `from_state` across processes, `pansight.metrics.distributed.all_reduce` under torch.distributed.

        >>> from pansight.scenes import render_scene
        >>> truth = render_scene(3, 0, 64, 96).panoptic
        >>> quality = PanopticQuality(truth.categories)
        >>> quality.update(truth, truth)
        >>> quality.compute().all.pq
        1.0
    """

    def __init__(self, categories: Categories, exact: bool = False) -> None:
        self.categories = categories
        self.exact = exact
        self.images = 0
        self._counts = Counts(len(categories))
        self.remarks = Remarks()

    @property
    def counted(self) -> bool:
        """Whether any segment of a known category was matched, missed or false so far."""
        return self._counts.any

    def update(self, prediction: PanopticMap, truth: PanopticMap, name: str = "") -> None:
        """Score one image given as two maps of equal size, counting areas in them; `name` is for warnings.

        Raises InputError when they differ in size, CategoryError when they have other categories than this
        accumulator (names and thing flags, in order).
        """
        name = name or f"image {self.images + 1}"
        self._add(match_maps(prediction, truth, self.categories, name, self.exact, self.remarks))

    def update_coco(
        self,
        prediction_ids: Integer[np.ndarray, "h w"],
        prediction_segments: Sequence[Any],
        truth_ids: Integer[np.ndarray, "truth_h truth_w"],
        truth_segments: Sequence[Any],
        prediction_name: str = "prediction",
        truth_name: str = "truth",
        name: str = "",
    ) -> None:
        """Score one image given as COCO panoptic files hold it: id maps and their `segments_info`.

        `category_id` is the data set's id. True segments need `id`, `category_id`, `iscrowd` (and `area` in
        exact mode), predicted ones `id` and `category_id`; all else is ignored. The names are for messages.

        Raises DataProblemsError, listing all that is wrong with this image, and counts nothing then.
        """
        image = match_coco(
            prediction_ids,
            prediction_segments,
            truth_ids,
            truth_segments,
            self.categories,
            prediction_name,
            truth_name,
            self.exact,
            self.remarks,
            name,
        )
        self._add(image)

    def merge(self, other: "PanopticQuality") -> None:
        """Add the counts of another accumulator. Raises CategoryError when its categories or mode differ."""
        if self.exact != other.exact or not same_classes(self.categories, other.categories):
            raise CategoryError(
                f"an evaluation of {other.categories.name} (exact={other.exact}) cannot be merged "
                f"into one of {self.categories.name} (exact={self.exact}); make both alike"
            )
        self._counts.merge(other._counts)
        self.images += other.images
        self.remarks.merge(other.remarks)

    def state(self) -> dict[str, Any]:
        """All counts so far, without the categories, to move to another process or to keep.

        `exact`; `images`; `counts`, int64 [5, n], of the n categories by contiguous index: tp, fp, fn and
        both parts of the sums of IoUs; `remarks`. States of disjoint images add up: `counts` and `images` as
        numbers, all of it by `from_state` and `merge`.
        """
        return {
            "exact": self.exact,
            "images": self.images,
            "counts": self._counts.table,
            "remarks": self.remarks.state(),
        }

    @classmethod
    def from_state(cls, categories: Categories, state: Mapping[str, Any]) -> "PanopticQuality":
        """The accumulator whose `state` this is. `categories` are those that it had.

        Raises InputError when the state has another number of categories.
        """
        try:
            quality = cls(categories, exact=bool(state["exact"]))
            table = np.asarray(state["counts"])
            quality.images = int(state["images"])
            quality.remarks = Remarks.from_state(state["remarks"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"this is not a state of a panoptic quality ({error}); give what state() gave"
            ) from error
        if table.shape != (5, len(categories)) or table.dtype != np.int64:
            raise InputError(
                f"counts of {table.dtype} {list(table.shape)} do not belong to {len(categories)} categories; "
                "give the categories of the accumulator that the state was taken from"
            )
        quality._counts = Counts.from_table(table)
        return quality

    def compute(self) -> PanopticQualityResult:
        """The quality over everything scored so far. Emits one EvaluationWarning when there are remarks."""
        return with_remarks(self._counts.quality(self.categories, self.images), self.categories, self.remarks)

    def _add(self, image: MatchedImage) -> None:
        self._counts.add(image.found_classes, image.matches.ious, image.missed_classes, image.false_classes)
        self.images += 1

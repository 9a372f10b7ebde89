"""Every measure of panoptic maps against the truth, from one pass over the images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Integer

from pansight.categories import Categories
from pansight.errors import CategoryError, InputError
from pansight.metrics.average_precision import AveragePrecision, AveragePrecisionResult, Source
from pansight.metrics.bootstrap import Bootstrap, IntervalsResult
from pansight.metrics.boundary import BoundaryQuality
from pansight.metrics.counts import Counts, with_remarks
from pansight.metrics.losses import LossesResult, LossTable, find_causes
from pansight.metrics.matched import MatchedImage, match_coco, match_maps, same_classes
from pansight.metrics.remarks import Remarks
from pansight.metrics.results import PanopticQualityResult
from pansight.metrics.segment_rows import SegmentRow, segment_rows
from pansight.metrics.semantic import SemanticQuality, SemanticResult
from pansight.metrics.sizes import COCO_SIZES, SizeBounds, SizeQuality, SizesResult
from pansight.metrics.worst import WorstPicture, WorstPictures
from pansight.panoptic import PanopticMap
from pansight.panoptic.instances import Instances


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The answer of an `Evaluation`; what was not requested is None.

    `panoptic`: PQ, SQ, RQ of all, things, stuff and each class. `semantic`: mIoU. `sizes`: PQ by object size.
    `losses`: PQ points lost by cause; with 100 PQ they add up to 100. `worst`: the images with the lowest
    PQ, the worst first. `boundary`: Boundary PQ. `ap`: COCO mask AP of the things. `intervals`: bootstrap
    intervals of PQ, SQ and RQ.
    """

    panoptic: PanopticQualityResult
    semantic: SemanticResult
    sizes: SizesResult
    losses: LossesResult
    worst: tuple[WorstPicture, ...]
    boundary: PanopticQualityResult | None = None
    ap: AveragePrecisionResult | None = None
    intervals: IntervalsResult | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Remarks worth a look, one per line."""
        return self.panoptic.warnings

    def to_json(self) -> dict[str, Any]:
        """Unrounded numbers: those of `PanopticQualityResult.to_json`, and a key for each other measure."""
        boundary = None
        if self.boundary is not None:
            boundary = self.boundary.to_json()
            del boundary["images"], boundary["warnings"]
        return {
            **self.panoptic.to_json(),
            "semantic": self.semantic.to_json(),
            "sizes": self.sizes.to_json(),
            "losses": self.losses.to_json(),
            "worst": [picture.to_json() for picture in self.worst],
            "boundary": boundary,
            "ap": self.ap and self.ap.to_json(),
            "intervals": self.intervals and self.intervals.to_json(),
        }


class Evaluation:
    """Accumulates every measure image by image; `compute` may be called at any time. Writes nothing.

    The overlaps of an image are counted once for all measures. Memory does not grow with the number of
    images, but for two options that keep a few bytes per segment: `bootstrap` and `average_precision`.

    - `exact`: the rules of the reference implementation to the letter; see `PanopticQuality`.
    - `boundary`: Boundary PQ as well.
    - `bootstrap`: samples for confidence intervals; 0 for none. `seed`: of their generator.
    - `average_precision`: COCO mask AP of the things; None, and a remark, where a predicted one has no score.
    - `instances`: with `average_precision`, that of the instances that `update` is given: they may overlap,
      and be more than those in the map, as papers score instance segmentation.
    - `keep_worst`: how many of the worst images are remembered, by name.
    - `sizes`: where small ends and large begins.
    - `segments`: keep a row for each segment, in the attribute of that name.

    Evaluations filled in several processes can be merged; they can be pickled.

        >>> from pansight.scenes import render_scene
        >>> truth = render_scene(3, 0, 64, 96).panoptic
        >>> evaluation = Evaluation(truth.categories)
        >>> evaluation.update(truth, truth, "scene")
        >>> evaluation.compute().semantic.mean_iou
        1.0
    """

    def __init__(
        self,
        categories: Categories,
        *,
        exact: bool = False,
        boundary: bool = False,
        bootstrap: int = 0,
        average_precision: bool = False,
        instances: bool = False,
        keep_worst: int = 12,
        sizes: SizeBounds = COCO_SIZES,
        seed: int = 0,
        segments: bool = False,
    ) -> None:
        self.categories = categories
        self.segments: list[SegmentRow] | None = [] if segments else None
        self.exact = exact
        self.images = 0
        self.remarks = Remarks()
        self.takes_instances = average_precision and instances
        source: Source = "instances" if self.takes_instances else "segments"
        self._options = (boundary, bootstrap, average_precision, source, keep_worst, sizes, seed, segments)
        self._counts = Counts(len(categories))
        self._semantic = SemanticQuality(categories)
        self._sizes = SizeQuality(categories, sizes)
        self._losses = LossTable(categories)
        self._worst = WorstPictures(categories, keep_worst)
        self._boundary = BoundaryQuality(categories) if boundary else None
        self._precision = AveragePrecision(categories, source) if average_precision else None
        self._bootstrap = Bootstrap(categories, bootstrap, seed=seed) if bootstrap else None

    @property
    def counted(self) -> bool:
        """Whether any segment of a known category was matched, missed or false so far."""
        return self._counts.any

    def update(
        self,
        prediction: PanopticMap,
        truth: PanopticMap,
        name: str = "",
        instances: Instances | None = None,
    ) -> None:
        """Score one image given as two maps of equal size; `name` is for messages and the worst images.

        `instances`: those found in it, of the same size, where this evaluation takes them.

        Raises InputError when they differ in size, or instances are missing or not expected, CategoryError
        when their categories are not those of this evaluation (names and thing flags, in order). Nothing is
        counted then.
        """
        name = name or f"image {self.images + 1}"
        remarks = Remarks()
        self._check_instances(instances, truth, name)
        self._add(match_maps(prediction, truth, self.categories, name, self.exact, remarks), instances)
        self.remarks.merge(remarks)

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

        As `PanopticQuality.update_coco`; predicted segments may have a `score`, which only average precision
        looks at. `name`: what the image is called among the worst, by default `truth_name`. Raises
        DataProblemsError, listing all that is wrong with this image, and counts nothing then; InputError
        where this evaluation takes instances, which such files do not hold.
        """
        if self.takes_instances:
            raise InputError("COCO panoptic files hold no instances; make an Evaluation without `instances`")
        remarks = Remarks()
        image = match_coco(
            prediction_ids,
            prediction_segments,
            truth_ids,
            truth_segments,
            self.categories,
            prediction_name,
            truth_name,
            self.exact,
            remarks,
            name,
        )
        self._add(image)
        self.remarks.merge(remarks)

    def merge(self, other: "Evaluation") -> None:
        """Add the counts of another. Raises CategoryError when its categories or options differ.

        All results are those of one evaluation of all images, in whatever order; only of average precision
        the last digits may depend on the order, where scores are equal.
        """
        alike = self.exact == other.exact and self._options == other._options
        if not alike or not same_classes(self.categories, other.categories):
            raise CategoryError(
                f"an evaluation of {other.categories.name} cannot be merged into one of "
                f"{self.categories.name} with other categories or options; make both alike"
            )
        self.images += other.images
        self.remarks.merge(other.remarks)
        if self.segments is not None and other.segments is not None:
            self.segments += other.segments
        self._counts.merge(other._counts)
        self._semantic.merge(other._semantic)
        self._sizes.merge(other._sizes)
        self._losses.merge(other._losses)
        self._worst.merge(other._worst)
        if self._boundary and other._boundary:
            self._boundary.merge(other._boundary)
        if self._precision and other._precision:
            self._precision.merge(other._precision)
        if self._bootstrap and other._bootstrap:
            self._bootstrap.merge(other._bootstrap)

    def compute(self) -> EvaluationResult:
        """Everything asked for, of all images so far. Emits one EvaluationWarning when there are remarks."""
        panoptic = self._counts.quality(self.categories, self.images)
        remarks = Remarks()
        if self._precision and self._precision.remark:
            remarks.add("mask AP", self._precision.remark)
        remarks.merge(self.remarks)
        return EvaluationResult(
            panoptic=with_remarks(panoptic, self.categories, remarks),
            semantic=self._semantic.compute(),
            sizes=self._sizes.compute(self.images),
            losses=self._losses.compute(self._counts),
            worst=self._worst.compute(),
            boundary=self._boundary.compute(self.images) if self._boundary else None,
            ap=self._precision.compute() if self._precision else None,
            intervals=self._bootstrap.compute() if self._bootstrap else None,
        )

    def _check_instances(self, instances: Instances | None, truth: PanopticMap, name: str) -> None:
        if (instances is not None) != self.takes_instances:
            takes, given = ("takes", "none are") if self.takes_instances else ("takes no", "some are")
            raise InputError(f"{name}: this evaluation {takes} instances, and {given} given; see Evaluation")
        if instances is None:
            return
        height, width = instances.masks.shape[1:]
        if (height, width) != (truth.height, truth.width):
            size = f"{truth.width} x {truth.height}"
            raise InputError(
                f"{name}: instances of {width} x {height} pixels for a map of {size}; give masks of its size"
            )
        wrong = (instances.categories < 0) | (instances.categories >= len(self.categories))
        if wrong.any():
            raise CategoryError(
                f"{name}: an instance has category {instances.categories[wrong][0]}; "
                f"{self.categories.name} has 0..{len(self.categories) - 1}"
            )

    def _add(self, image: MatchedImage, instances: Instances | None = None) -> None:
        if self._precision:
            if instances is not None:
                self._precision.add_instances(image, instances)
            else:
                self._precision.add(image)
        if self.segments is not None:
            self.segments += segment_rows(image, self.categories)
        if self._boundary:
            self._boundary.add(image)
        if self._bootstrap:
            self._bootstrap.add(image)
        self._counts.add(image.found_classes, image.matches.ious, image.missed_classes, image.false_classes)
        self._semantic.add(image)
        self._sizes.add(image)
        causes = find_causes(image)
        self._losses.add(image, causes)
        self._worst.add(image, causes)
        self.images += 1

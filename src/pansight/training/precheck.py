"""Problems that would keep a training from learning, checked before its first step."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pansight.data.coco import CocoPanoptic
from pansight.data.dataset import PanopticDataset
from pansight.datatools.checking.kinds import Severity
from pansight.datatools.checking.quick import check_json
from pansight.errors import DataError, InputError
from pansight.scenes import SceneDataset
from pansight.training.sources import Sources

LOOKS = 16
"""samples of a set that are read whole"""

_REMEDY = "correct it, or leave this check out with --no-check"


def check_sources(sources: Sources) -> Iterator[str]:
    """One line for each set, training and validation, whose files are odd but can be learned from.

    The quick part of `pansight data check`: types and flags of the JSON, a few samples for files and sizes,
    and whether there is anything to learn. Sets that are not on a disk are not checked.

    Raises DataError, one line, where there is nothing to learn, or images cannot be read.
    """
    for name, samples in (("training", sources.training), ("validation", sources.validation)):
        if isinstance(samples, SceneDataset) or not isinstance(samples, PanopticDataset) or not len(samples):
            continue
        where = f"{samples.annotations}" if isinstance(samples, CocoPanoptic) else f"{name} set"
        _learnable(samples, where)
        _readable(samples, where)
        if isinstance(samples, CocoPanoptic):
            remark = _remark(samples.annotations)
            if remark:
                yield remark


def _learnable(samples: PanopticDataset, where: str) -> None:
    """Raise DataError where no segment, or no object by itself, is there to be learned."""
    things = samples.categories.is_thing
    if isinstance(samples, CocoPanoptic):
        single, crowd = samples.segment_counts
        images = f"{len(samples)}"
    else:
        places = _spread(len(samples))
        single, crowd = (np.zeros(len(samples.categories), dtype=np.int64) for _ in range(2))
        for place in places:
            try:
                truth = samples.truth(place)
            except (DataError, InputError):
                continue
            for segment in truth.segments:
                (crowd if segment.is_crowd else single)[segment.category] += 1
        images = f"{len(places)}"
        # A few empty images prove nothing.
        if len(places) < len(samples) and single[things].sum() == 0:
            return
    if single.sum() + crowd.sum() == 0:
        raise DataError(f"{where}: none of its {images} images has a segment to learn from; {_REMEDY}")
    objects = int(crowd[things].sum())
    if objects and single[things].sum() == 0:
        raise DataError(
            f"{where}: each of its {objects} objects is a crowd (iscrowd 1), none can be learned; {_REMEDY}"
        )


def _readable(samples: PanopticDataset, where: str) -> None:
    """Read a few samples whole. Raises DataError where more fail than a training would leave out."""
    places = _spread(len(samples))
    failed: list[str] = []
    for place in places:
        try:
            samples[place]
        except (DataError, InputError) as error:
            failed.append(str(error))
    # One of a few in a large set may be the only one; in a small set it is too many.
    if len(failed) > (1 if len(places) < len(samples) else 0):
        raise DataError(
            f"{where}: {len(failed)} of {len(places)} images looked at cannot be read: {failed[0]}; {_REMEDY}"
        )


def _remark(path: Path) -> str:
    """What the JSON's types and flags have against them, in one line; nothing where all is well."""
    findings = [one for one in check_json(path) if one.kind.severity is not Severity.NOTE]
    if not findings:
        return ""
    first = findings[0]
    more = f", and {len(findings) - 1} more kinds of problems" if len(findings) > 1 else ""
    return (
        f"{path}: {first.kind.title}: {first.text}{more}; it is read as far as possible, "
        f"`pansight data check {path}` lists everything"
    )


def _spread(length: int) -> list[int]:
    """At most LOOKS places in a data set, evenly spread."""
    return sorted({length * part // LOOKS for part in range(LOOKS)})

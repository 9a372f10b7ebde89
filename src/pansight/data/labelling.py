"""What a data set labels, and what a pixel without a label may hide: `labelled.json`.

Data sets that were put together from others do not label everything. An unlabelled pixel (id 0) of such a set
is no background: it may be of any category that the set does not label completely.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.panoptic import PanopticMap

FILE_NAME = "labelled.json"


@dataclass(frozen=True)
class Labelling:
    """Contiguous indices of the categories that a data set labels.

    `annotated`: those that have labels in it. `complete`: those of which no object or region was left out, so
    that an unlabelled pixel is certainly none of them; a part of `annotated`.

    Example:
        >>> Labelling(frozenset({0, 2}), frozenset({0})).complete_mask(3).tolist()
        [True, False, False]
    """

    annotated: frozenset[int]
    complete: frozenset[int]

    def complete_mask(self, count: int) -> Bool[np.ndarray, " k"]:
        """Of each of `count` categories, whether an unlabelled pixel is certainly none of it."""
        mask = np.zeros(count, dtype=np.bool_)
        mask[sorted(self.complete)] = True
        return mask

    def translated(self, places: Mapping[int, int | None]) -> "Labelling":
        """The same in other categories: `places` gives the new index of each old one, None where it has none.

        A category that several old ones become is complete where all of them are.
        """
        annotated = {new for old in self.annotated if (new := places.get(old)) is not None}
        sources: dict[int, set[int]] = {}
        for old, new in places.items():
            if new is not None:
                sources.setdefault(new, set()).add(old)
        complete = {new for new, olds in sources.items() if olds <= self.complete}
        return Labelling(frozenset(annotated), frozenset(complete))


def find_labelling(annotations: Path, categories: Categories) -> Labelling | None:
    """What `labelled.json` beside a data set's JSON (or in its folder) says; None where there is none."""
    folder = annotations if annotations.is_dir() else annotations.parent
    path = folder / FILE_NAME
    return read_labelling(path, categories) if path.is_file() else None


def read_labelling(path: Path, categories: Categories) -> Labelling:
    """Read a `labelled.json`, whose categories are named as in `categories`.

    Raises DataError when it lacks `annotated` or names a category that is not there; `complete` may be left
    out, which says that none is.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); correct or remove it") from error
    if not isinstance(content, dict):
        raise DataError(f'{path}: must be an object with a list "annotated"; correct or remove it')
    known = {name: index for index, name in enumerate(categories.names)}
    found: dict[str, frozenset[int]] = {}
    for key in ("annotated", "complete"):
        names = content.get(key, [] if key == "complete" else None)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(f'{path}: "{key}" must be a list of names of categories; correct it')
        strange = [name for name in names if name not in known]
        if strange:
            raise DataError(
                f"{path}: {key} names {', '.join(strange)}, which {categories.name} does not have; correct it"
            )
        found[key] = frozenset(known[name] for name in names)
    loose = found["complete"] - found["annotated"]
    if loose:
        names = [categories.names[index] for index in sorted(loose)]
        raise DataError(f"{path}: {', '.join(names)} cannot be complete without being annotated; correct it")
    return Labelling(found["annotated"], found["complete"])


def only_categories(panoptic: PanopticMap, kept: Collection[int]) -> PanopticMap:
    """The map without segments of other categories; their pixels become void."""
    rows = [(s.id, s.category, s.score, s.is_crowd) for s in panoptic.segments if s.category in kept]
    if len(rows) == len(panoptic.segments):
        return panoptic
    return PanopticMap.from_table(panoptic.ids, rows, panoptic.categories, unlisted="void")

"""What a data set labels, and what a pixel without a label may hide: `labelled.json`.

Data sets that were put together from others do not label everything. An unlabelled pixel (id 0) of such a set
is not background: it may be of any category that the set does not label completely.
"""

import json
from pathlib import Path

from pansight.categories import Categories
from pansight.errors import DataError
from pansight.panoptic.labelling import Labelling

FILE_NAME = "labelled.json"


def find_labelling(annotations: Path, categories: Categories) -> Labelling | None:
    """The content of `labelled.json` next to a data set's JSON (or in its folder); None where there is
    none."""
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

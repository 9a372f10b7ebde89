"""Files of labelme as a source of panoptic truth; what they hold is said in `formats.annotation.labelme`."""

import os
from collections.abc import Collection
from pathlib import Path

from pansight.categories import Categories
from pansight.datatools.preparing.annotated import AnnotatedSource
from pansight.formats.annotation.labelme import LabelmeReader

PathLike = str | os.PathLike[str]


class LabelmePolygons(AnnotatedSource):
    """A folder of labelme files, folders below it included, as a source of panoptic truth."""

    def __init__(self, folder: PathLike, categories: Categories, skip: Collection[Path] = ()) -> None:
        """Raises InputError when no JSON file lies there, other than those to `skip`."""
        super().__init__(LabelmeReader(folder, skip=skip), categories)

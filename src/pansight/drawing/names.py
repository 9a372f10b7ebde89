"""Names as people say them: data sets add synonyms, paths and bookkeeping that would crowd an image."""

from collections import Counter
from functools import lru_cache

from pansight.categories import Categories
from pansight.drawing.text import one_line


@lru_cache(maxsize=32)
def short_names(categories: Categories) -> tuple[str, ...]:
    """A short name for each category, by contiguous index; two are alike only if 60 letters of the full are.

    "sky-other-merged" (COCO) is sky, "car, auto, automobile" (ADE20K) is car, "object--vehicle--bus"
    (Mapillary) is bus, "sign_symbol" (CamVid) is sign symbol.
    """
    full = [one_line(name) for name in categories.names]
    short = [_shortened(name) for name in full]
    # A shortening that two share, or that is another's full name ("wall" beside "wall-other"), is not used.
    taken = Counter(short) + Counter(name for name, brief in zip(full, short, strict=True) if name != brief)
    return tuple(brief if taken[brief] == 1 else name for name, brief in zip(full, short, strict=True))


def _shortened(name: str) -> str:
    brief = name.split(",")[0].split("--")[-1].replace("_", " ").strip()
    for suffix in ("-merged", "-other", "-stuff"):
        brief = brief.removesuffix(suffix)
    return brief or name

"""A sheet of samples: images with their labels drawn in, and one legend for all."""

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import PurePath

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pansight.data.dataset import PanopticDataset
from pansight.data.sample import Sample
from pansight.drawing import contact_sheet, legend, overlay
from pansight.drawing.legends import BACKGROUND
from pansight.errors import DataError, InputError
from pansight.panoptic import PanopticMap

_MOST = 60
"""Most categories in the legend, those with the most pixels."""

_TALLEST = 1.25
"""Images are made no higher than this many times the width of their place."""


def choose_samples(
    source: PanopticDataset,
    count: int,
    seed: int = 0,
    categories: Collection[int] = (),
    progress: Callable[[int, int], None] | None = None,
) -> list[int]:
    """Random samples, at most `count`, in the data set's order: the same for the same seed.

    `categories` (contiguous): only samples with a segment of each of them; truths are read, in random order,
    until there are enough; those that cannot be read are skipped. `progress` is called with
    (found, wanted).
    """
    order = list(range(len(source)))
    random.Random(seed).shuffle(order)
    if not categories:
        return sorted(order[:count])
    wanted = set(categories)
    found: list[int] = []
    for index in order:
        try:
            present = {segment.category for segment in source.truth(index).segments}
        except (DataError, InputError):
            continue
        if wanted <= present:
            found.append(index)
            if progress is not None:
                progress(len(found), count)
            if len(found) == count:
                break
    return sorted(found)


def draw_sheet(
    source: PanopticDataset, chosen: Sequence[int], *, width: int = 480, beside: bool = False
) -> tuple[UInt8[np.ndarray, "h w 3"] | None, list[str]]:
    """Draw the chosen samples, `width` pixels wide each, with one legend.

    `beside`: each image next to its labels, not above them. Gives the RGB sheet, None when no sample can be
    read, and a line for each sample that cannot.
    """
    cells: list[UInt8[np.ndarray, "h w 3"]] = []
    titles: list[str] = []
    problems: list[str] = []
    pixels: Counter[int] = Counter()
    for index in chosen:
        try:
            sample = fitted(source[index], width)
        except (DataError, InputError) as error:
            problems.append(str(error))
            continue
        for segment in sample.panoptic.segments:
            pixels[segment.category] += segment.area
        drawn = overlay(sample.image, sample.panoptic, alpha=0.75 if beside else 0.55)
        cells += [sample.image, drawn] if beside else [drawn]
        titles += [PurePath(sample.file_name).name, *(["labels"] if beside else [])]
    if not cells:
        return None, problems
    sheet = contact_sheet(cells, columns=_columns(cells, 1 + beside), titles=titles)
    shown = {category for category, _ in pixels.most_common(_MOST)}
    if not shown:
        return sheet, problems
    listed = [category for index, category in enumerate(source.categories) if index in shown]
    size = min(max(round(width / 30), 12), 32)
    beside_it = legend(listed, size=size, height=sheet.shape[0])
    height = max(sheet.shape[0], beside_it.shape[0])
    return np.concatenate([_extended(sheet, height), _extended(beside_it, height)], axis=1), problems


def fitted(sample: Sample, width: int) -> Sample:
    """The sample scaled to a width in pixels, or less where it would be too high; small segments may
    vanish."""
    scale = min(width / sample.width, _TALLEST * width / sample.height)
    size = max(round(sample.width * scale), 1), max(round(sample.height * scale), 1)
    image = Image.fromarray(sample.image).resize(size, Image.Resampling.LANCZOS)
    ids = Image.fromarray(sample.panoptic.ids).resize(size, Image.Resampling.NEAREST)
    rows = [(one.id, one.category, one.score, one.is_crowd) for one in sample.panoptic.segments]
    panoptic = PanopticMap.from_table(np.asarray(ids, dtype=np.int32), rows, sample.panoptic.categories)
    return Sample(np.array(image), panoptic, sample.image_id, sample.file_name)


def _columns(cells: Sequence[UInt8[np.ndarray, "h w 3"]], together: int) -> int:
    """As many columns as make the sheet about 3 to 2; cells that belong together stay in a row."""
    width = float(np.mean([cell.shape[1] for cell in cells]))
    height = float(np.mean([cell.shape[0] for cell in cells]))
    return together * max(round((len(cells) * 1.5 * height / width) ** 0.5 / together), 1)


def _extended(picture: UInt8[np.ndarray, "h w 3"], height: int) -> UInt8[np.ndarray, "height w 3"]:
    if picture.shape[0] == height:
        return picture
    below = np.empty((height - picture.shape[0], picture.shape[1], 3), dtype=np.uint8)
    below[...] = BACKGROUND
    return np.concatenate([picture, below])

"""Crops that are sure to hold an object: what papers get by drawing until one fits, drawn at once."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from pansight.data.transforms.picture import Labelled, crop
from pansight.panoptic.regions import measure_regions


@dataclass(frozen=True)
class WindowWithObject:
    """A window of `size` (height, width), smaller where the image is, with a pixel of an object in it.

    Uniform over all windows that hold one; over all windows where the image has no object. (Real-Time
    Panoptic Segmentation from Dense Detections, released transforms: drawn anew until an instance survives.)
    """

    size: tuple[int, int]

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        height, width = (min(a, b) for a, b in zip(labelled.size, self.size, strict=True))
        top = int(generator.integers(labelled.size[0] - height + 1))
        left = int(generator.integers(labelled.size[1] - width + 1))
        window = crop(labelled, top, left, height, width)
        if len(labelled.objects) and not np.isin(window.ids, labelled.objects).any():
            # the first draw failed: what is left is uniform over the windows that do not fail
            fits = _sums(np.isin(labelled.ids, labelled.objects), height, width) > 0
            if fits.any():
                top, left = _draw(fits, generator)
                window = crop(labelled, top, left, height, width)
        return window


@dataclass(frozen=True)
class WindowAroundObject:
    """A window of `size` (height, width), smaller where the image is, with an object's box centre in it.

    The object is drawn first, then the window among those around its centre, as detectron2's
    `RandomCropWithInstance` does; anywhere where the image has no object.
    """

    size: tuple[int, int]

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        height, width = (min(a, b) for a, b in zip(labelled.size, self.size, strict=True))
        last = (labelled.size[0] - height, labelled.size[1] - width)
        lowest, highest = (0, 0), last
        _, centers = _centers(labelled)
        if len(centers):
            y, x = centers[generator.integers(len(centers))].tolist()
            lowest = (max(int(y) - height + 1, 0), max(int(x) - width + 1, 0))
            highest = (min(int(y), last[0]), min(int(x), last[1]))
        top = int(generator.integers(min(lowest[0], highest[0]), highest[0] + 1))
        left = int(generator.integers(min(lowest[1], highest[1]), highest[1] + 1))
        return crop(labelled, top, left, height, width)


@dataclass(frozen=True)
class WindowWithCenter:
    """A window of `size` (height, width), smaller where the image is, with an object's box centre inside.

    Uniform over all windows that hold one strictly inside; over all windows where the image has no object.
    Objects whose centre is cut off are no longer single objects to find: they leave `objects`. (SSD's rule
    in EPSNet's released augmentation, whose search among windows never ends on some images.)
    """

    size: tuple[int, int]

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        height, width = (min(a, b) for a, b in zip(labelled.size, self.size, strict=True))
        top = int(generator.integers(labelled.size[0] - height + 1))
        left = int(generator.integers(labelled.size[1] - width + 1))
        objects, centers = _centers(labelled)
        inside = _inside(centers, top, left, height, width)
        if len(centers) and not inside.any():
            tops = np.arange(labelled.size[0] - height + 1)
            lefts = np.arange(labelled.size[1] - width + 1)
            rows = (tops < centers[:, :1]) & (centers[:, :1] < tops + height)
            columns = (lefts < centers[:, 1:]) & (centers[:, 1:] < lefts + width)
            fits = rows.T.astype(np.float32) @ columns.astype(np.float32) > 0
            if fits.any():
                top, left = _draw(fits, generator)
                inside = _inside(centers, top, left, height, width)
        return crop(labelled, top, left, height, width)._replace(objects=objects[inside])


def _centers(labelled: Labelled) -> tuple[Int32[np.ndarray, " k"], Float64[np.ndarray, "k 2"]]:
    """The objects that have pixels, ascending, and row and column of the centre of each one's box."""
    regions = measure_regions(labelled.ids)
    there = np.isin(regions.ids, labelled.objects)
    x, y, width, height = regions.boxes[there].T
    return regions.ids[there], np.stack([y + height / 2, x + width / 2], axis=1)


def _inside(
    centers: Float64[np.ndarray, "k 2"], top: int, left: int, height: int, width: int
) -> Bool[np.ndarray, " k"]:
    corner = np.array([top, left])
    return ((centers > corner) & (centers < corner + np.array([height, width]))).all(axis=1)


def _sums(mask: Bool[np.ndarray, "h w"], height: int, width: int) -> Int64[np.ndarray, "y x"]:
    """How many pixels of the mask each window of height x width holds, by its upper left corner."""
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    table[1:, 1:] = mask.cumsum(0).cumsum(1)
    columns = table[:, width:] - table[:, :-width]
    return columns[height:] - columns[:-height]


def _draw(fits: Bool[np.ndarray, "h w"], generator: np.random.Generator) -> tuple[int, int]:
    """One of the true places."""
    places = np.flatnonzero(fits)
    top, left = divmod(int(places[generator.integers(len(places))]), fits.shape[1])
    return top, left

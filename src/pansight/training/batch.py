"""From samples to the inputs of a step: few tensors, with masks made only where they are needed."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32, Int64, UInt8
from torch import Tensor

from pansight.data.sample import Sample
from pansight.data.transforms import Labelled, Transform
from pansight.models.base import Target
from pansight.models.preprocess import Preprocess


class Example(NamedTuple):
    """One augmented image and its truth, on the host."""

    image: UInt8[np.ndarray, "h w 3"]
    rows: Int32[np.ndarray, "h w"]
    """0: no segment, else 1 + place in the tables below"""
    categories: Int64[np.ndarray, "n"]
    crowd: Bool[np.ndarray, "n"]
    complete: Bool[np.ndarray, " k"] | None = None
    """of each category, whether an unlabelled pixel is certainly none of it; None: everything is labelled"""
    missed: tuple[tuple[int, str], ...] = ()
    """images that could not be read and in whose place this one stands: index and reason"""
    name: str = ""
    """file of the image, as the data set lists it"""


def make_example(sample: Sample, transform: Transform, generator: np.random.Generator) -> Example:
    """Augment a sample; segments that lose all their pixels lose their row."""
    segments = sample.panoptic.segments
    painted = sample.panoptic.paint(range(1, len(segments) + 1))
    things = sample.panoptic.categories.is_thing
    objects = [row for row, one in enumerate(segments, 1) if things[one.category] and not one.is_crowd]
    labelled = transform(Labelled(sample.image, painted, np.array(objects, dtype=np.int32)), generator)
    left = np.bincount(labelled.ids.reshape(-1), minlength=len(segments) + 1) > 0
    left[0] = False
    table = np.cumsum(left, dtype=np.int32) * left
    kept = [segment for segment, there in zip(segments, left[1:], strict=True) if there]
    # an object that a crop cut off its list is treated as a group is: neither to be found nor background
    struck = set(objects) - set(labelled.objects.tolist())
    crowd = [one.is_crowd or row in struck for row, one in enumerate(segments, 1) if left[row]]
    return Example(
        labelled.image,
        table.astype(np.int32)[labelled.ids],
        np.array([segment.category for segment in kept], dtype=np.int64),
        np.array(crowd, dtype=np.bool_),
        None if sample.labelling is None else sample.labelling.complete_mask(len(things)),
        name=sample.file_name,
    )


class TrainingBatch(NamedTuple):
    """Images of one pass, padded at the bottom and the right to one size; tables padded at the end."""

    images: UInt8[Tensor, "b 3 h w"]
    sizes: Int64[Tensor, "b 2"]
    """height and width of each image inside the padded one"""
    rows: Int32[Tensor, "b h w"]
    categories: Int64[Tensor, "b s"]
    """-1: no segment"""
    crowd: Bool[Tensor, "b s"]
    complete: Bool[Tensor, "b k"] | None = None
    """see `Target.complete`; None where every image is labelled whole"""
    missed: tuple[tuple[int, str], ...] = ()
    """images that could not be read and were replaced: index and reason"""
    names: tuple[str, ...] = ()
    """file of each image, as the data set lists it"""

    def targets(self) -> list[Target]:
        """The truth of each image as masks, made on the batch's device."""
        counts = (self.categories >= 0).sum(1).tolist()
        return [
            Target(
                rows == torch.arange(1, n + 1, device=rows.device)[:, None, None],
                categories[:n],
                crowd[:n],
                (height, width),
                complete,
            )
            for rows, categories, crowd, n, (height, width), complete in zip(
                self.rows,
                self.categories,
                self.crowd,
                counts,
                self.sizes.tolist(),
                [None] * len(counts) if self.complete is None else self.complete,
                strict=True,
            )
        ]

    def inputs(self, preprocess: Preprocess) -> Float[Tensor, "b 3 h w"]:
        """Normalised images with 0 beyond their borders."""
        images = preprocess.normalise(self.images)
        padded = list(images.shape[2:])
        for image, (height, width) in zip(images, self.sizes.tolist(), strict=True):
            if [height, width] != padded:
                image[:, height:] = 0
                image[:, :, width:] = 0
        return images


def collate(examples: list[Example], divisor: int) -> TrainingBatch:
    """Examples as one batch, its sides multiples of `divisor`."""
    sizes = [example.rows.shape for example in examples]
    height, width = (-(-max(size[axis] for size in sizes) // divisor) * divisor for axis in (0, 1))
    segments = max(len(example.categories) for example in examples)
    count = len(examples)
    images = np.zeros((count, height, width, 3), dtype=np.uint8)
    rows = np.zeros((count, height, width), dtype=np.int32)
    categories = np.full((count, segments), -1, dtype=np.int64)
    crowd = np.zeros((count, segments), dtype=np.bool_)
    for i, example in enumerate(examples):
        h, w = sizes[i]
        images[i, :h, :w] = example.image
        rows[i, :h, :w] = example.rows
        categories[i, : len(example.categories)] = example.categories
        crowd[i, : len(example.crowd)] = example.crowd
    return TrainingBatch(
        torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(),
        torch.tensor(sizes, dtype=torch.int64),
        torch.from_numpy(rows),
        torch.from_numpy(categories),
        torch.from_numpy(crowd),
        _complete(examples),
        tuple(one for example in examples for one in example.missed),
        tuple(example.name for example in examples),
    )


def _complete(examples: list[Example]) -> Bool[Tensor, "b k"] | None:
    """Of each example and category; those that are labelled whole have every category complete."""
    known = [example.complete for example in examples if example.complete is not None]
    if not known:
        return None
    everything = np.ones_like(known[0])
    rows = [everything if example.complete is None else example.complete for example in examples]
    return torch.from_numpy(np.stack(rows))

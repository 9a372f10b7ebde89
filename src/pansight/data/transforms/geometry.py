"""Flips, resizes, crops and pads that keep image and ids in step."""

from dataclasses import dataclass

import numpy as np

from pansight.data.transforms.picture import Labelled, crop, pad, resize


@dataclass(frozen=True)
class HorizontalFlip:
    """Mirror left and right with a probability."""

    probability: float = 0.5

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        if generator.random() >= self.probability:
            return labelled
        return labelled._replace(image=labelled.image[:, ::-1], ids=labelled.ids[:, ::-1])


@dataclass(frozen=True)
class ScaleJitter:
    """Resize to fit inside `size` (height, width) times s ~ U(minimum, maximum), keeping the aspect.

    The resize of large-scale jitter (Ghiasi et al., CVPR 2021); sides are rounded half to even.
    """

    size: tuple[int, int]
    minimum: float = 0.1
    maximum: float = 2.0

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        s = generator.uniform(self.minimum, self.maximum)
        height, width = labelled.size
        scale = min(self.size[0] * s / height, self.size[1] * s / width)
        return resize(labelled, max(1, round(height * scale)), max(1, round(width * scale)))


@dataclass(frozen=True)
class FixedCrop:
    """A window of exactly `size` (height, width), padded with `value` and id 0 where the image is smaller.

    One number places the window on both axes, as in detectron2: windows lie along the image's diagonal.
    """

    size: tuple[int, int]
    value: int = 128

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        place = generator.random()
        top, left = (round(max(a - b, 0) * place) for a, b in zip(labelled.size, self.size, strict=True))
        return pad(crop(labelled, top, left, *self.size), *self.size, self.value)


@dataclass(frozen=True)
class ShortSideChoice:
    """Resize the short side to one of `choices`, the long side to no more than `longest`."""

    choices: tuple[int, ...]
    longest: int

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        short = self.choices[generator.integers(len(self.choices))]
        height, width = labelled.size
        scale = min(short / min(height, width), self.longest / max(height, width))
        return resize(labelled, max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5)))


@dataclass(frozen=True)
class Rescale:
    """Resize both sides by one factor s ~ U(minimum, maximum)."""

    minimum: float = 0.7
    maximum: float = 1.3

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        s = generator.uniform(self.minimum, self.maximum)
        height, width = labelled.size
        return resize(labelled, max(1, int(height * s + 0.5)), max(1, int(width * s + 0.5)))


@dataclass(frozen=True)
class Squash:
    """Resize to `size` (height, width) times s ~ U(minimum, maximum), whatever the aspect was.

    Images are not antialiased, as those that EPSNet is given are not. With `minimum` = `maximum` one size
    serves the whole run.
    """

    size: tuple[int, int]
    minimum: float = 1.0
    maximum: float = 1.0

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        s = generator.uniform(self.minimum, self.maximum)
        height, width = (max(1, int(side * s)) for side in self.size)
        return resize(labelled, height, width, antialias=False)


@dataclass(frozen=True)
class RandomCrop:
    """A window of `size` (height, width) anywhere in the image, smaller where the image is."""

    size: tuple[int, int]

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        height, width = (min(a, b) for a, b in zip(labelled.size, self.size, strict=True))
        top = int(generator.integers(labelled.size[0] - height + 1))
        left = int(generator.integers(labelled.size[1] - width + 1))
        return crop(labelled, top, left, height, width)


@dataclass(frozen=True)
class PadTo:
    """Fill up to at least `size` (height, width) at the bottom and the right with `value` and id 0."""

    size: tuple[int, int]
    value: int = 128

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        return pad(labelled, *self.size, self.value)

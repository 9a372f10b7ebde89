"""Augmentation: image and segment ids changed together, reproducible sample by sample."""

from pansight.data.transforms.appearance import Blur, Compression, Erasing, Gray
from pansight.data.transforms.color import ColorJitter
from pansight.data.transforms.geometry import (
    FixedCrop,
    HorizontalFlip,
    PadTo,
    RandomCrop,
    Rescale,
    ScaleJitter,
    ShortSideChoice,
    Squash,
)
from pansight.data.transforms.picture import Compose, Labelled, Transform, generator_for
from pansight.data.transforms.presets import (
    crop_and_color,
    large_scale_jitter,
    photographs,
    short_sides,
    squash_and_crop,
    window_and_rescale,
)
from pansight.data.transforms.windows import WindowAroundObject, WindowWithCenter, WindowWithObject

__all__ = [
    "Blur",
    "ColorJitter",
    "Compose",
    "Compression",
    "Erasing",
    "FixedCrop",
    "Gray",
    "HorizontalFlip",
    "Labelled",
    "PadTo",
    "RandomCrop",
    "Rescale",
    "ScaleJitter",
    "ShortSideChoice",
    "Squash",
    "Transform",
    "WindowAroundObject",
    "WindowWithCenter",
    "WindowWithObject",
    "crop_and_color",
    "generator_for",
    "large_scale_jitter",
    "photographs",
    "short_sides",
    "squash_and_crop",
    "window_and_rescale",
]

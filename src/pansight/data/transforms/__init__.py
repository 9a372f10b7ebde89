"""Augmentation: picture and segment ids changed together, reproducible sample by sample."""

from pansight.data.transforms.color import ColorJitter
from pansight.data.transforms.geometry import (
    FixedCrop,
    HorizontalFlip,
    PadTo,
    RandomCrop,
    ScaleJitter,
    ShortSideChoice,
)
from pansight.data.transforms.picture import Compose, Labelled, Transform, generator_for
from pansight.data.transforms.presets import crop_and_color, large_scale_jitter

__all__ = [
    "ColorJitter",
    "Compose",
    "FixedCrop",
    "HorizontalFlip",
    "Labelled",
    "PadTo",
    "RandomCrop",
    "ScaleJitter",
    "ShortSideChoice",
    "Transform",
    "crop_and_color",
    "generator_for",
    "large_scale_jitter",
]

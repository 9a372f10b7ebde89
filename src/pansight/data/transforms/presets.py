"""The sequences that papers train with, at any size."""

from pansight.data.transforms.color import ColorJitter
from pansight.data.transforms.geometry import (
    FixedCrop,
    HorizontalFlip,
    PadTo,
    RandomCrop,
    ScaleJitter,
    ShortSideChoice,
)
from pansight.data.transforms.picture import Compose


def large_scale_jitter(
    size: tuple[int, int] = (1024, 1024), minimum: float = 0.1, maximum: float = 2.0
) -> Compose:
    """YOSO's sequence for COCO: flip; fit into s * `size`, s ~ U(minimum, maximum); crop or pad to `size`."""
    return Compose((HorizontalFlip(), ScaleJitter(size, minimum, maximum), FixedCrop(size)))


def crop_and_color(short: int, longest: int, size: tuple[int, int], pad: bool = False) -> Compose:
    """YOSO's sequence for Cityscapes, ADE20K and Mapillary ("yoso_panoptic").

    The short side becomes one of 0.5, 0.6 ... 2.0 times `short` (cut to whole pixels), the long side at most
    `longest`; then a crop of `size` (height, width), colour jitter, flip and, with `pad` (ADE20K), padding up
    to `size`. Paper: 1024, 4096, (512, 1024) Cityscapes; 640, 2560, (640, 640) ADE20K; 2048, 8192,
    (1024, 1024) Mapillary.
    """
    choices = tuple(max(1, short * tenths // 10) for tenths in range(5, 21))
    steps = (ShortSideChoice(choices, longest), RandomCrop(size), ColorJitter(), HorizontalFlip())
    return Compose((*steps, PadTo(size)) if pad else steps)

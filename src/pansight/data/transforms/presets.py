"""The sequences that papers train with, at any size."""

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
from pansight.data.transforms.picture import Compose, Transform
from pansight.data.transforms.windows import WindowAroundObject, WindowWithCenter, WindowWithObject


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


def short_sides(choices: tuple[int, ...], longest: int, size: tuple[int, int] | None = None) -> Compose:
    """Detectron2's sequence: short side drawn from `choices`, long side at most `longest`, flip.

    With `size`, a crop of it around the centre of a random object comes between. Panoptic FCN: COCO 640,
    672 ... 800 with 1333 (fast variants 352 ... 512 with 854, 440 ... 600 with 1000); Cityscapes 512 ... 2048
    with 4096 and (512, 1024); Mapillary 1024, 1152 ... 2048 and (1024, 1024). Dense detections, COCO: 640,
    720, 800 with 1333.
    """
    window: tuple[Transform, ...] = () if size is None else (WindowAroundObject(size),)
    return Compose((ShortSideChoice(choices, longest), *window, HorizontalFlip()))


def window_and_rescale(
    size: tuple[int, int] = (900, 1800), minimum: float = 0.7, maximum: float = 1.3
) -> Compose:
    """Dense detections' sequence for Cityscapes: a crop of `size` with an object in it, rescaled; flip."""
    return Compose((WindowWithObject(size), Rescale(minimum, maximum), HorizontalFlip()))


def squash_and_crop(
    size: tuple[int, int] = (550, 550),
    minimum: float = 1.0,
    maximum: float = 1.5,
    color: bool = True,
    flip: bool = True,
) -> Compose:
    """EPSNet's sequence: colours, flip, squash to s * `size`, s ~ U(minimum, maximum), crop of `size`.

    `minimum` = `maximum` = 1 without `flip` is the paper's "without data augmentation"; whether that leaves
    colours alone as well the paper does not say. The released code draws s once a run, the paper once a
    image, as here; equal bounds give the former. It turns hues by at most 18 degrees, half of what
    detectron2 makes of the same number.

    Two departures from the released code: colours are cut to 0..255 and rounded down to whole levels after
    every step, where it keeps fractions and cuts nothing; and an object whose centre the crop cuts off is
    treated as a group, neither to be found nor background, where it drops the object, whose remains become
    background.
    """
    jitter: tuple[Transform, ...] = (ColorJitter(hue=9),) if color else ()
    mirror: tuple[Transform, ...] = (HorizontalFlip(),) if flip else ()
    return Compose((*jitter, *mirror, Squash(size, minimum, maximum), WindowWithCenter(size)))


def photographs(size: tuple[int, int], minimum: float = 0.6, maximum: float = 2.0) -> Compose:
    """For small sets of photographs: everything that a camera or a passer-by might change.

    Flip; fit into s * `size`, s ~ U(minimum, maximum); a crop of `size`; colours, now and then none; blur;
    JPEG; boxes over the image; padding up to `size`.
    """
    return Compose(
        (
            HorizontalFlip(),
            ScaleJitter(size, minimum, maximum),
            RandomCrop(size),
            ColorJitter(),
            Gray(),
            Blur(),
            Compression(),
            Erasing(),
            PadTo(size),
        )
    )

"""From images to the network's input: declared by each method, done in one place."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from pydantic import BaseModel, ConfigDict, PositiveInt

from pansight.errors import InputError
from pansight.panoptic.sizes import Sizes as Sizes

# Listing the models needs their image sizes without torch, which is imported with the first tensor.
if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pansight.models.normalise import Normalise

    Pixels: TypeAlias = UInt8[Tensor, "b 3 h w"] | Float[Tensor, "b 3 h w"]


class Preprocess(BaseModel):
    """How a method's images are prepared.

    `mean` and `std` are on the 0..255 scale, in the order of `channels`. The image's short side becomes
    `short` unless its long side then exceeds `longest`, which rules (detectron2's rule); None keeps the
    image as it is. `squash` (height, width) resizes without regard to the aspect instead. Padding to a
    multiple of `divisor` goes to the bottom and the right, with 0 after normalisation. `fit` (height, width)
    makes each image as large as fits within, and pads it to exactly that: the input of a graph that takes no
    other size.

    `resample` says how images are resized: `antialias` is Pillow's bilinear filter, which gives bytes;
    `bilinear` mixes the four nearest pixels and rounds nothing (EPSNet's released image mode).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    short: PositiveInt | None = None
    longest: PositiveInt | None = None
    squash: tuple[PositiveInt, PositiveInt] | None = None
    fit: tuple[PositiveInt, PositiveInt] | None = None
    divisor: PositiveInt = 32
    mean: tuple[float, float, float] = (123.675, 116.280, 103.530)
    std: tuple[float, float, float] = (58.395, 57.120, 57.375)
    channels: Literal["rgb", "bgr"] = "rgb"
    resample: Literal["antialias", "bilinear"] = "antialias"

    def resized(self, resize: Literal["paper", "none"] | int) -> "Preprocess":
        """The same with another resize rule: `paper` (this one), `none`, or a short side in pixels.

        Where images are squashed to a square, the number is its side.
        """
        if resize == "paper":
            return self
        if resize == "none":
            return self.model_copy(update={"short": None, "longest": None, "squash": None, "fit": None})
        if not isinstance(resize, int) or isinstance(resize, bool) or resize < 1:
            raise InputError(
                f"resize {resize!r} is not a rule; use 'paper', 'none' or a short side in pixels, such as 512"
            )
        if self.squash is not None:
            return self.model_copy(update={"squash": (resize, resize)})
        return self.model_copy(update={"short": resize, "longest": None, "fit": None})

    def fitted(self, size: tuple[int, int]) -> "Preprocess":
        """The same for inputs of one size, height and width; methods that squash images squash them to it.

        Raises InputError where the network takes no such size.
        """
        if any(side < 1 or side % self.divisor for side in size):
            nearest = self.padded_size([(max(1, size[0]), max(1, size[1]))])
            raise InputError(
                f"size {size[0]}x{size[1]} does not suit the network, whose sides are multiples of "
                f"{self.divisor}; use {nearest[0]}x{nearest[1]}"
            )
        update = {"short": None, "longest": None, "squash": None, "fit": None}
        return self.model_copy(update=update | {"fit" if self.squash is None else "squash": size})

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width to which an image of height x width is resized."""
        if self.squash is not None:
            return self.squash
        if self.fit is not None:
            scale = min(self.fit[0] / height, self.fit[1] / width)
            return tuple(  # type: ignore[return-value]
                min(most, max(1, int(side * scale + 0.5)))
                for side, most in zip((height, width), self.fit, strict=True)
            )
        if self.short is None:
            return height, width
        # the short side is exactly `short`: scale * side may round below it, and then a half rounds down
        scale, short = self.short / min(height, width), float(self.short)
        new_height, new_width = (short, scale * width) if height < width else (scale * height, short)
        if self.longest is not None and max(new_height, new_width) > self.longest:
            shrink = self.longest / max(new_height, new_width)
            new_height, new_width = new_height * shrink, new_width * shrink
        return max(1, int(new_height + 0.5)), max(1, int(new_width + 0.5))

    def resize(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
        """The image at its target size, by the antialiasing filter on bytes, as three of the papers do."""
        height, width = self.target_size(image.shape[0], image.shape[1])
        if (height, width) == image.shape[:2]:
            return image
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))

    def normaliser(self) -> "Normalise":
        """The module that brings pixels to the network's channel order and scale."""
        from pansight.models.normalise import Normalise

        return Normalise(self)

    def normalise(self, images: "Pixels") -> "Float[Tensor, 'b 3 h w']":
        """RGB 0..255 to the network's channel order and scale."""
        return self.normaliser().to(images.device)(images)

    def frames(
        self,
        images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
        device: "torch.device | str" = "cpu",
        output: Sequence[tuple[int, int]] | None = None,
    ) -> "tuple[Pixels, Sizes]":
        """Resize and pad images (RGB) to one batch of pixels, 0..255, that `Normalise` takes.

        They stay bytes where `resample` rounds to bytes. `output` holds (height, width) of the map wanted for
        each image; None: as large as the image. Raises InputError when there are no images, or not one size
        for each.
        """
        import torch
        from torch.nn import functional as F

        if not images:
            raise InputError("a batch needs at least one image")
        if output is not None and len(output) != len(images):
            raise InputError(f"{len(output)} sizes for {len(images)} images; give one for each")
        own = [(image.shape[0], image.shape[1]) for image in images]
        valid = [self.target_size(height, width) for height, width in own]
        height, width = self.padded_size(valid)
        sizes = Sizes((height, width), valid, list(output) if output is not None else own)
        if self.resample == "antialias":
            # one block, one copy to the device
            block = np.zeros((len(images), 3, height, width), dtype=np.uint8)
            for place, image, (h, w) in zip(block, images, valid, strict=True):
                place[:, :h, :w] = self.resize(image).transpose(2, 0, 1)
            return torch.from_numpy(block).to(device), sizes
        batch = []
        for image, (h, w) in zip(images, valid, strict=True):
            batch.append(F.pad(self._pixels(image, device).float(), (0, width - w, 0, height - h)))
        return torch.cat(batch), sizes

    def batch(
        self,
        images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
        device: "torch.device | str" = "cpu",
        output: Sequence[tuple[int, int]] | None = None,
    ) -> "tuple[Float[Tensor, 'b 3 h w'], Sizes]":
        """Resize, pad and normalise images (RGB) to one input; `output` is as `frames` has it."""
        import torch

        pixels, sizes = self.frames(images, device, output)
        valid = torch.tensor(sizes.valid, device=device)
        return self.normaliser().to(device)(pixels, None if sizes.filled else valid), sizes

    def _pixels(self, image: UInt8[np.ndarray, "_ _ 3"], device: "torch.device | str") -> "Pixels":
        """The image at its target size, 0..255, on the device, by `bilinear`."""
        import torch
        from torch.nn import functional as F

        size = self.target_size(image.shape[0], image.shape[1])
        # a copy: torch refuses to share memory that is read-only
        pixels = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C")).to(device)[None]
        if image.shape[:2] == size:
            return pixels
        return F.interpolate(pixels.float(), size=size, mode="bilinear", align_corners=False)

    def padded_size(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """The smallest multiple of `divisor` in either direction that holds all `sizes`, or `fit`."""
        if self.fit is not None:
            return self.fit
        height = max(size[0] for size in sizes)
        width = max(size[1] for size in sizes)
        return -(-height // self.divisor) * self.divisor, -(-width // self.divisor) * self.divisor

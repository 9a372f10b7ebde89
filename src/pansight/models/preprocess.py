"""From pictures to the network's input: declared by each method, done in one place."""

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from pydantic import BaseModel, ConfigDict, PositiveInt

from pansight.errors import InputError
from pansight.panoptic.sizes import Sizes as Sizes

# Whoever lists the models wants to know how large their pictures are: torch comes with the first tensor.
if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Pixels: TypeAlias = UInt8[Tensor, "b 3 h w"] | Float[Tensor, "b 3 h w"]


class Preprocess(BaseModel):
    """How a method wants its pictures.

    `mean` and `std` are on the 0..255 scale, in the order of `channels`. The picture's short side becomes
    `short` unless its long side then exceeds `longest`, which rules (detectron2's rule); None keeps the
    picture as it is. `squash` (height, width) resizes without regard to the aspect instead. Padding to a
    multiple of `divisor` goes to the bottom and the right, with 0 after normalisation.

    `resample` says how pictures are resized: `antialias` is Pillow's bilinear filter, which gives bytes;
    `bilinear` mixes the four nearest pixels and rounds nothing (EPSNet's released image mode).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    short: PositiveInt | None = None
    longest: PositiveInt | None = None
    squash: tuple[PositiveInt, PositiveInt] | None = None
    divisor: PositiveInt = 32
    mean: tuple[float, float, float] = (123.675, 116.280, 103.530)
    std: tuple[float, float, float] = (58.395, 57.120, 57.375)
    channels: Literal["rgb", "bgr"] = "rgb"
    resample: Literal["antialias", "bilinear"] = "antialias"

    def resized(self, resize: Literal["paper", "none"] | int) -> "Preprocess":
        """The same with another resize rule: `paper` (this one), `none`, or a short side in pixels.

        Where pictures are squashed to a square, the number is its side.
        """
        if resize == "paper":
            return self
        if resize == "none":
            return self.model_copy(update={"short": None, "longest": None, "squash": None})
        if not isinstance(resize, int) or isinstance(resize, bool) or resize < 1:
            raise InputError(
                f"resize {resize!r} is no rule; use 'paper', 'none' or a short side in pixels, such as 512"
            )
        if self.squash is not None:
            return self.model_copy(update={"squash": (resize, resize)})
        return self.model_copy(update={"short": resize, "longest": None})

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width to which a picture of height x width is resized."""
        if self.squash is not None:
            return self.squash
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
        """The picture at its target size, by the antialiasing filter on bytes, as three of the papers do."""
        height, width = self.target_size(image.shape[0], image.shape[1])
        if (height, width) == image.shape[:2]:
            return image
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))

    def normalise(self, images: "Pixels") -> "Float[Tensor, 'b 3 h w']":
        """RGB 0..255 to the network's channel order and scale."""
        import torch

        if self.channels == "bgr":
            images = images.flip(1)
        mean = torch.tensor(self.mean, device=images.device)[:, None, None]
        std = torch.tensor(self.std, device=images.device)[:, None, None]
        return (images.float() - mean) / std

    def batch(
        self, images: list[UInt8[np.ndarray, "_ _ 3"]], device: "torch.device | str" = "cpu"
    ) -> "tuple[Float[Tensor, 'b 3 h w'], Sizes]":
        """Resize, normalise and pad pictures (RGB) to one input; maps will be as large as the pictures."""
        import torch
        from torch.nn import functional as F

        if not images:
            raise InputError("a batch needs at least one picture")
        output = [(image.shape[0], image.shape[1]) for image in images]
        valid = [self.target_size(height, width) for height, width in output]
        padded = self.padded_size(valid)
        batch = []
        for image, (height, width) in zip(images, valid, strict=True):
            pad = (0, padded[1] - width, 0, padded[0] - height)
            batch.append(F.pad(self.normalise(self._pixels(image, device)), pad))
        return torch.cat(batch), Sizes(padded, valid, output)

    def _pixels(self, image: UInt8[np.ndarray, "_ _ 3"], device: "torch.device | str") -> "Pixels":
        """The picture at its target size, 0..255, on the device."""
        import torch
        from torch.nn import functional as F

        size = self.target_size(image.shape[0], image.shape[1])
        if self.resample == "antialias":
            image = self.resize(image)
        # a copy: torch refuses to share memory that is read-only
        pixels = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C")).to(device)[None]
        if image.shape[:2] == size:
            return pixels
        return F.interpolate(pixels.float(), size=size, mode="bilinear", align_corners=False)

    def padded_size(self, sizes: list[tuple[int, int]]) -> tuple[int, int]:
        """The smallest multiple of `divisor` in either direction that holds all `sizes`."""
        height = max(size[0] for size in sizes)
        width = max(size[1] for size in sizes)
        return -(-height // self.divisor) * self.divisor, -(-width // self.divisor) * self.divisor

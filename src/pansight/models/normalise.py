"""Pixels to a network's channel order and scale, as a module that every exported graph begins with."""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from pansight.models.preprocess import Preprocess

Pixels = UInt8[Tensor, "b 3 h w"] | Float[Tensor, "b 3 h w"]


class Normalise(nn.Module):
    """Pixels 0..255 to a network's channel order and scale; part of every exported graph.

    What it knows are buffers: they travel to the device with the network, once.
    """

    mean: Float[Tensor, "3 1 1"]
    std: Float[Tensor, "3 1 1"]

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.bgr = preprocess.channels == "bgr"
        for name, values in (("mean", preprocess.mean), ("std", preprocess.std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, pixels: Pixels, valid: Int[Tensor, "b 2"] | None = None) -> Float[Tensor, "b 3 h w"]:
        """RGB 0..255 to float32.

        `valid` (height, width) of each image inside the padded input; what lies beyond becomes 0, which no
        byte before normalisation could say. None: the images fill it.
        """
        if self.bgr:
            pixels = pixels.flip(1)
        images = (pixels.float() - self.mean) / self.std
        if valid is None:
            return images
        rows = torch.arange(pixels.shape[2], device=pixels.device) < valid[:, :1]
        columns = torch.arange(pixels.shape[3], device=pixels.device) < valid[:, 1:]
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        return images.masked_fill(~inside, 0.0)

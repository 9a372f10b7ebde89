"""How large a batch, its images and the maps wanted are: what the merge must know of preprocessing."""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor


class Sizes(NamedTuple):
    """Heights and widths that tie a batch to its images.

    For the fixed form one entry of `valid` and `output` may stand for every image of the batch, so that a
    graph can have any number of them.
    """

    padded: tuple[int, int]
    """of the network's input"""
    valid: list[tuple[int, int]]
    """of each resized image inside the padded input (top left)"""
    output: list[tuple[int, int]]
    """of the map wanted for each image, usually the original size"""

    @property
    def filled(self) -> bool:
        """Whether every image fills the padded input."""
        return all(size == self.padded for size in self.valid)

    def uniform(self) -> bool:
        """Whether all images are alike."""
        first = (self.valid[0], self.output[0])
        return all(pair == first for pair in zip(self.valid[1:], self.output[1:], strict=True))

    def valid_on(self, device: torch.device) -> Int[Tensor, "b 2"]:
        """`valid` on a device; one row for all images where it has one entry."""
        return torch.stack([_on(size, device) for size in self.valid])

    def output_on(self, device: torch.device) -> Int[Tensor, "b 2"]:
        """`output`, as `valid_on`."""
        return torch.stack([_on(size, device) for size in self.output])

    def padded_on(self, device: torch.device) -> Int[Tensor, "2"]:
        """`padded` on a device."""
        return _on(self.padded, device)

    def largest(self) -> tuple[int, int]:
        """Height and width of the maps of the whole batch."""
        if len(self.output) == 1:
            return self.output[0]
        return max(height for height, _ in self.output), max(width for _, width in self.output)


def _on(size: tuple[int, int], device: torch.device) -> Int[Tensor, "2"]:
    # sides may be symbols of a graph, of which no tensor is made directly
    return torch.cat([torch.full((1,), side, device=device) for side in size])

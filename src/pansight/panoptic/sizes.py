"""How large a batch, its images and the maps wanted are: what the merge must know of preprocessing."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
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

    def pixels(self) -> int:
        """Of all maps of the batch, each as large as the largest."""
        height, width = self.largest()
        return len(self.output) * height * width

    def valid_on(self, device: "torch.device") -> "Tensor":
        """`valid` on a device, int64 [b, 2]; one row for all images where it has one entry."""
        return _rows(self.valid, device)

    def output_on(self, device: "torch.device") -> "Tensor":
        """`output`, as `valid_on`."""
        return _rows(self.output, device)

    def padded_on(self, device: "torch.device") -> "Tensor":
        """`padded` on a device, int64 [2]."""
        return _rows([self.padded], device)[0]

    def largest(self) -> tuple[int, int]:
        """Height and width of the maps of the whole batch."""
        if len(self.output) == 1:
            return self.output[0]
        return max(height for height, _ in self.output), max(width for _, width in self.output)


def _rows(sizes: list[tuple[int, int]], device: "torch.device") -> "Tensor":
    import torch

    # sides may be symbols of a graph, of which no tensor is made directly
    return torch.stack(
        [torch.cat([torch.full((1,), side, device=device) for side in size]) for size in sizes]
    )

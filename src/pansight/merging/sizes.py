"""How large a batch, its pictures and the maps wanted are: what the merge must know of preprocessing."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """Heights and widths that tie a batch to its pictures."""

    padded: tuple[int, int]
    """of the network's input"""
    valid: list[tuple[int, int]]
    """of each resized picture inside the padded input (top left)"""
    output: list[tuple[int, int]]
    """of the map wanted for each picture, usually the original size"""

    @property
    def filled(self) -> bool:
        """Whether every image fills the padded input."""
        return all(size == self.padded for size in self.valid)

"""Objects that may overlap: what some models find before they decide which object a pixel belongs to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from pansight.errors import InputError


@dataclass(frozen=True, eq=False, repr=False)
class Instances:
    """The objects found in one image, best first; masks may overlap, and may be empty.

    `boxes` are x1, y1, x2, y2 in pixels, tight around the masks, x2 and y2 one beyond the last; all zeros
    where a mask is empty. `categories` are contiguous indices of things, `scores` 0..1.

    Raises InputError when there is not one of each for every mask.
    """

    masks: Bool[np.ndarray, "n h w"]
    boxes: Float32[np.ndarray, "n 4"]
    categories: Int64[np.ndarray, "n"]
    scores: Float32[np.ndarray, "n"]

    def __post_init__(self) -> None:
        counts = [len(part) for part in (self.masks, self.boxes, self.categories, self.scores)]
        if len(set(counts)) > 1:
            masks, *others = counts
            raise InputError(f"{masks} masks have {others} boxes, categories and scores; give one of each")

    def __len__(self) -> int:
        return len(self.masks)

    def __repr__(self) -> str:
        height, width = self.masks.shape[1:]
        return f"Instances({width}x{height}, {len(self)} objects)"

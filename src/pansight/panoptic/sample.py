"""One labelled image, whatever data set it came from."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from pansight.panoptic.labelling import Labelling
from pansight.panoptic.map import PanopticMap


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with its panoptic truth, at the same size.

    `image`: RGB, uint8, 0..255, upright. `panoptic`: the truth; its categories are those of the data set.
    `image_id`: the data set's own name for the image (COCO: int, Cityscapes: str), unique within it.
    `file_name`: the image's file, as the data set lists it; for messages and output names.
    `labelling`: what its data set labels at all; None: everything, so that void is of no category.

    Raises ValueError when image and truth differ in size.
    """

    image: UInt8[np.ndarray, "h w 3"]
    panoptic: PanopticMap
    image_id: int | str
    file_name: str
    labelling: Labelling | None = None

    def __post_init__(self) -> None:
        height, width = self.image.shape[:2]
        if (height, width) != (self.panoptic.height, self.panoptic.width):
            raise ValueError(
                f"{self.file_name}: the image is {width} x {height} pixels, "
                f"its panoptic map {self.panoptic.width} x {self.panoptic.height}"
            )

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.image.shape[1])

"""What the merge must know of preprocessing: see `pansight.panoptic.sizes`, which needs no torch."""

from pansight.panoptic.sizes import Sizes

__all__ = ["Sizes"]

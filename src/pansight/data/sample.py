"""What every reader gives: see `pansight.panoptic.sample`, which scenes, drawn and not read, give too."""

from pansight.panoptic.sample import Sample

__all__ = ["Sample"]

"""EPSNet: panoptic masks as linear combinations of shared prototypes."""

from pansight.models.epsnet.config import EPSNetConfig
from pansight.models.epsnet.model import EPSNet

__all__ = ["EPSNet", "EPSNetConfig"]

"""EPSNet: panoptic masks as linear combinations of shared prototypes (Chang et al., ACCV 2020).

Where training departs from the released code:

- Groups stay groups after a crop; there, rows of stuff take their place, and they may become objects.
- Images without things are trained on; there, they are dropped.
- The scale is drawn for every image, as the paper says; there, once a run.
- Detection losses of a batch without a positive anchor are divided by 1; there, by 0.
- Convolutions of the pyramid start from Xavier's distribution as all others do; there, on one GPU, from
  torch's default.
- A loss that is not finite stops the run; there, the step is skipped.
"""

from typing import TYPE_CHECKING

from pansight.lazy import lazy_names
from pansight.models.epsnet.config import EPSNetConfig, EPSNetMergeSettings

if TYPE_CHECKING:
    from pansight.models.epsnet.model import EPSNet

__all__ = ["EPSNet", "EPSNetConfig", "EPSNetMergeSettings"]

__getattr__ = lazy_names(
    __name__,
    {
        "EPSNet": "pansight.models.epsnet.model",
    },
)

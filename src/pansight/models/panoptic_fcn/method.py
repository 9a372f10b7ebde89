"""What the rest of the library knows of Panoptic FCN."""

from pansight.models.method import Method
from pansight.models.panoptic_fcn.config import PanopticFCNConfig
from pansight.models.panoptic_fcn.presets import panoptic_fcn_presets

METHOD = Method(
    name="panoptic_fcn",
    model="pansight.models.panoptic_fcn.model:PanopticFCN",
    config=PanopticFCNConfig,
    presets=panoptic_fcn_presets,
    # a kernel decides a whole mask
    float_parts=(
        "joined",
        "out_inst",
        "out_sem",
        "thing_generator",
        "stuff_generator",
        "feature_encoder",
    ),
)

"""What the rest of the library knows of EPSNet."""

from pansight.models.epsnet.config import EPSNetConfig
from pansight.models.epsnet.presets import epsnet_presets
from pansight.models.method import Method

METHOD = Method(
    name="epsnet",
    model="pansight.models.epsnet.model:EPSNet",
    config=EPSNetConfig,
    presets=epsnet_presets,
    drops=(".num_batches_tracked",),
    unread=(
        # what the released loader throws away of older files: second names, and levels that are not used
        r"backbone\.layer(?!s)",
        r"fpn\.downsample_layers\.[2-9]",
        # made with the normal fusion, and never called
        r"fusion_module\.fusion_subnet\.",
    ),
    float_parts=("bbox_layer", "conf_layer", "mask_layer", "CALayer", "fusion_module", "semantic_seg_conv"),
)

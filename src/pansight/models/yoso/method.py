"""The record of YOSO for the rest of the library."""

from pansight.models.method import Method
from pansight.models.yoso.config import YOSOConfig
from pansight.models.yoso.presets import yoso_presets

METHOD = Method(
    name="yoso",
    model="pansight.models.yoso.model:YOSO",
    config=YOSOConfig,
    presets=yoso_presets,
    may_lack=("yoso_head.criterion.empty_weight",),
    # class logits are divided by temperatures as small as 0.05; masks are binarised between stages; features,
    # coordinates and ones are concatenated, which one scale cannot serve
    float_parts=("yoso_head", "yoso_neck/Concat", "yoso_neck/loc_conv"),
    whole_any_size=True,
)

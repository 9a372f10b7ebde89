"""What exists: models by name, their weights, and the files that hold them."""

from typing import TYPE_CHECKING

from pansight.lazy import lazy_names

if TYPE_CHECKING:
    from pansight.zoo.backbone import load_backbone
    from pansight.zoo.header import read_header
    from pansight.zoo.methods import METHODS, register
    from pansight.zoo.native import load_native, save_native
    from pansight.zoo.presets import available, preset
    from pansight.zoo.registry import build, load_model
    from pansight.zoo.spec import Figure, ModelSpec, ReleasedFile

__all__ = [
    "METHODS",
    "Figure",
    "ModelSpec",
    "ReleasedFile",
    "available",
    "build",
    "load_backbone",
    "load_model",
    "load_native",
    "preset",
    "read_header",
    "register",
    "save_native",
]

__getattr__ = lazy_names(
    __name__,
    {
        "METHODS": "pansight.zoo.methods",
        "Figure": "pansight.zoo.spec",
        "ModelSpec": "pansight.zoo.spec",
        "ReleasedFile": "pansight.zoo.spec",
        "available": "pansight.zoo.presets",
        "build": "pansight.zoo.registry",
        "load_backbone": "pansight.zoo.backbone",
        "load_model": "pansight.zoo.registry",
        "load_native": "pansight.zoo.native",
        "preset": "pansight.zoo.presets",
        "read_header": "pansight.zoo.header",
        "register": "pansight.zoo.methods",
        "save_native": "pansight.zoo.native",
    },
)

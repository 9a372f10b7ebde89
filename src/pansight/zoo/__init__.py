"""What exists: models by name, their weights, and the files that hold them."""

from pansight.zoo.backbone import load_backbone
from pansight.zoo.methods import METHODS
from pansight.zoo.native import load_native, read_header, save_native
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
    "save_native",
]

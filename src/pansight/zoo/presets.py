"""The models that have a name: those of the papers, and the small ones that ship with the package."""

import difflib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pansight.categories import Categories
from pansight.errors import CheckpointError, PansightError
from pansight.models.preprocess import Preprocess
from pansight.models.yoso.config import YOSOConfig, YOSOMergeSettings
from pansight.zoo.dense_presets import dense_detection_presets
from pansight.zoo.epsnet_presets import epsnet_presets
from pansight.zoo.header import read_header
from pansight.zoo.panoptic_fcn_presets import panoptic_fcn_presets
from pansight.zoo.released_files import RELEASED
from pansight.zoo.spec import Figure, ModelSpec

ASSETS = Path(str(resources.files("pansight"))) / "assets" / "weights"

EMBEDDED = {
    name: f"{name}.safetensors"
    for name in ("yoso-photo", "yoso-tiny", "dense-tiny", "panoptic-fcn-tiny", "epsnet-tiny")
}
"""models whose file ships with the package, in ASSETS; the file says what they are"""


def _yoso_r50(
    name: str,
    data: str,
    size: tuple[int, int],
    file: str,
    figures: tuple[tuple[float, float, str], ...],
    description: str,
    **config: Any,
) -> ModelSpec:
    """A YOSO with ResNet-50 as released; `size` is the test size, short and longest side."""
    return ModelSpec(
        name=name,
        method="yoso",
        config=YOSOConfig(**config),
        categories=Categories.builtin(data),
        preprocess=Preprocess(short=size[0], longest=size[1]),
        description=description,
        weights=(RELEASED[f"yoso-{file}"],),
        figures=tuple(
            Figure(pq, "README of the released YOSO code", fps, hardware) for pq, fps, hardware in figures
        ),
    )


@cache
def released() -> tuple[ModelSpec, ...]:
    """The models of the papers, most of them with weights that their authors published.

    What differs between YOSO's data sets is all from the released configurations. Cityscapes is released
    with a test size of 512 x 1024 and a comment that names 1024 x 2048: the preset named after the data set
    is as released, and `-1024` is the comment's, with which the better figure was reached.
    """
    cityscapes: dict[str, Any] = {
        "backbone_norm": "batch",
        "class_layers": 3,
        "mask_layers": 3,
        "merge": YOSOMergeSettings(object_threshold=0.8),
    }
    return (
        _yoso_r50(
            "yoso-r50-coco",
            "coco",
            (800, 1333),
            "coco",
            ((48.4, 23.6, "V100"),),
            "YOSO, ResNet-50, COCO, short side 800",
        ),
        _yoso_r50(
            "yoso-r50-coco-512",
            "coco",
            (512, 800),
            "coco",
            ((46.4, 45.6, "V100"),),
            "the same weights, short side 512: twice as fast",
        ),
        _yoso_r50(
            "yoso-r50-cityscapes",
            "cityscapes",
            (512, 1024),
            "cityscapes",
            ((52.5, 22.6, "V100"),),
            "YOSO, ResNet-50, Cityscapes at half size, as released",
            **cityscapes,
        ),
        _yoso_r50(
            "yoso-r50-cityscapes-1024",
            "cityscapes",
            (1024, 2048),
            "cityscapes",
            ((59.7, 11.1, "V100"),),
            "the same weights at full size",
            **cityscapes,
        ),
        _yoso_r50(
            "yoso-r50-ade20k",
            "ade20k",
            (640, 2560),
            "ade20k",
            ((38.0, 35.4, "V100"),),
            "YOSO, ResNet-50, ADE20K, short side 640",
            temperature=0.5,
            merge=YOSOMergeSettings(object_threshold=0.2),
        ),
        _yoso_r50(
            "yoso-r50-mapillary",
            "mapillary",
            (2048, 2048),
            "mapillary",
            ((34.1, 7.1, "A100"),),
            "YOSO, ResNet-50, Mapillary Vistas 1.2, longest side 2048",
            proposals=150,
            class_layers=3,
            mask_layers=3,
            temperature=0.1,
            merge=YOSOMergeSettings(object_threshold=0.0),
        ),
        *dense_detection_presets(),
        *epsnet_presets(),
        *panoptic_fcn_presets(),
    )


def embedded_path(name: str) -> Path:
    """Where the package keeps an embedded model's file."""
    return ASSETS / EMBEDDED[name]


@cache
def _embedded(path: Path, name: str) -> ModelSpec:
    """What the file of an embedded model says; its `extra` may hold `description`, `pq` and `pq_source`."""
    if not path.is_file():
        raise CheckpointError(f"the weights of {name} are missing from this installation; reinstall pansight")
    header = read_header(path)
    extra = header.extra
    figures: tuple[Figure, ...] = ()
    if "pq" in extra:
        figures = (Figure(float(extra["pq"]), str(extra.get("pq_source", "its training"))),)
    return ModelSpec(
        name=name,
        method=header.method,
        config=header.config,
        categories=header.categories,
        preprocess=header.preprocess,
        description=str(extra.get("description", f"{header.method}, ships with the package")),
        embedded=EMBEDDED[name],
        figures=figures,
        licence=str(extra.get("licence", "Apache-2.0")),
    )


def available() -> list[ModelSpec]:
    """Every model that has a name, the embedded ones first (those of them that this installation holds).

    >>> [spec.name for spec in available()][:2]
    ['yoso-photo', 'yoso-tiny']
    """
    return [
        *(_embedded(embedded_path(name), name) for name in EMBEDDED if embedded_path(name).is_file()),
        *released(),
    ]


def names() -> list[str]:
    """The names of all models, whether or not their weights are here."""
    return [*EMBEDDED, *(spec.name for spec in released())]


def preset(name: str) -> ModelSpec:
    """The model called `name`. Raises PansightError with the nearest names when there is none.

    >>> preset("yoso-r50-coco").categories_name
    'coco'
    """
    if name in EMBEDDED:
        return _embedded(embedded_path(name), name)
    for spec in released():
        if spec.name == name:
            return spec
    near = difflib.get_close_matches(name.lower(), names(), n=3, cutoff=0.0)
    raise PansightError(f"no model {name!r}; did you mean {' or '.join(near)}? `pansight models` lists all")

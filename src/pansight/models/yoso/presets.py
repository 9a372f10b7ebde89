"""The models of the YOSO paper."""

from typing import Any

from pansight.categories import Categories
from pansight.models.preprocess import Preprocess
from pansight.models.released_files import RELEASED
from pansight.models.spec import Figure, ModelSpec
from pansight.models.yoso.config import YOSOConfig, YOSOMergeSettings


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


def yoso_presets() -> tuple[ModelSpec, ...]:
    """ResNet-50 on four data sets, all with weights that the authors published.

    What differs between the data sets is all from the released configurations. Cityscapes is released
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
    )

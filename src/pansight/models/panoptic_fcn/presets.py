"""The models of the Panoptic FCN paper: those whose weights are released, and those it only reports."""

from typing import Any

from pansight.categories import Categories
from pansight.models.panoptic_fcn.config import PanopticFCNConfig, PanopticFCNMergeSettings
from pansight.models.preprocess import Preprocess
from pansight.models.released_files import RELEASED
from pansight.models.spec import Figure, ModelSpec

README = "README of the released Panoptic FCN code"
PAPER = "paper of Panoptic FCN"
AUTHOR = "author of Panoptic FCN, in answers to users"

FAST: dict[str, Any] = {"thing_threshold": 0.2, "stuff_threshold": 0.1}
"""thresholds of the released "FAST" configurations: fewer peaks to fuse, the same panoptic quality"""

STAR: dict[str, Any] = {"encoder_channels": 256, "encoder_deform": True}
"""the enhanced version (Panoptic FCN*)"""

DCN: dict[str, Any] = {"depth": 101, "deform_stages": (3, 4, 5)}

CITYSCAPES: dict[str, Any] = {
    "scales": ((1, 128), (64, 256), (128, 512), (256, 1024), (512, 2048)),
    "segment_weight": 4.0,
}

MAPILLARY: dict[str, Any] = {
    "positions": 3,
    "top": 200,
    "similarity_threshold": 0.95,
    "merge": PanopticFCNMergeSettings(mask_threshold=0.5, stuff_area=2048),
}


def _spec(
    name: str,
    description: str,
    figures: tuple[Figure, ...],
    *,
    size: tuple[int, int] = (800, 1333),
    data: str = "coco",
    file: str | None = None,
    **config: Any,
) -> ModelSpec:
    """`size` is short and longest side. Images are BGR; the mean, in RGB's order, is the released one."""
    return ModelSpec(
        name=f"panoptic-fcn-{name}-{data}",
        method="panoptic_fcn",
        config=PanopticFCNConfig(**config),
        categories=Categories.builtin(data),
        preprocess=Preprocess(
            short=size[0],
            longest=size[1],
            mean=(123.675, 116.28, 103.53),
            std=(1.0, 1.0, 1.0),
            channels="bgr",
        ),
        description=description,
        weights=() if file is None else (RELEASED[f"panoptic-fcn-{file}"],),
        figures=figures,
    )


def _twins(
    name: str,
    description: str,
    file: str,
    normal: tuple[float, float],
    fast: tuple[float, float],
    size: tuple[int, int] = (800, 1333),
    **config: Any,
) -> tuple[ModelSpec, ModelSpec]:
    """A released model and its FAST twin, of the same weights; figures are PQ and images a second."""
    figures = tuple(Figure(pq, README, fps, "V100") for pq, fps in (normal, fast))
    return (
        _spec(name, description, figures[:1], size=size, file=file, **config),
        _spec(
            f"{name}-fast",
            f"{description}; higher thresholds of peaks",
            figures[1:],
            size=size,
            file=file,
            **config,
            **FAST,
        ),
    )


def panoptic_fcn_presets() -> tuple[ModelSpec, ...]:
    """COCO in all published sizes and schedules, Cityscapes and Mapillary.

    The released code has configurations for the COCO models with ResNet-50 alone. Those of Cityscapes and
    Mapillary are of a fork that its authors point to (it widens the encoder for Mapillary even without
    deformation, which the paper keeps for the enhanced version). ResNet-101 is the same with other depth, and
    which of its stages are deformable in "DCN-101" is not said: 3 to 5, as everywhere.
    """
    small: dict[str, Any] = {"positions": 3}
    return (
        *_twins("r50", "Panoptic FCN, ResNet-50, COCO, short side 800", "3x", (43.6, 12.8), (43.6, 13.5)),
        *_twins("r50-1x", "the same, trained for a third of the time", "1x", (41.1, 12.4), (41.1, 13.6)),
        _spec(
            "r50-2x",
            "the same, trained for two thirds of the time; no weights are published",
            (Figure(43.2, PAPER),),
        ),
        # before the other one that has its weights: who gives the file alone gets the size it is named after
        *_twins("r50-512", "short side 512", "512", (42.3, 19.8), (42.3, 22.0), (512, 854), **small),
        *_twins("r50-400", "short side 400", "512", (41.0, 22.5), (40.8, 26.1), (400, 666), **small),
        *_twins("r50-600", "short side 600", "600", (42.7, 17.5), (42.7, 19.1), (600, 1000), positions=5),
        *_twins(
            "star-r50",
            "enhanced: wider, deformable feature encoder",
            "star",
            (44.2, 9.3),
            (44.2, 9.7),
            **STAR,
        ),
        _spec("r101", "ResNet-101; no weights are published", (Figure(45.6, AUTHOR),), depth=101),
        _spec(
            "dcn101",
            "ResNet-101 with deformable stages; no weights are published",
            (Figure(47.0, f"{PAPER}, test-dev"),),
            **DCN,
        ),
        _spec(
            "star-dcn101",
            "enhanced, ResNet-101 with deformable stages; no weights are published",
            (Figure(47.1, f"{PAPER}, test-dev"),),
            **DCN,
            **STAR,
        ),
        _spec(
            "r50",
            "Cityscapes; weights of the author's later training",
            (Figure(59.4, AUTHOR),),
            size=(1024, 2048),
            data="cityscapes",
            file="cityscapes",
            **CITYSCAPES,
        ),
        _spec(
            "star-r50",
            "enhanced, Cityscapes; no weights are published",
            (Figure(61.4, PAPER),),
            size=(1024, 2048),
            data="cityscapes",
            **CITYSCAPES,
            **STAR,
        ),
        _spec(
            "r50",
            "Mapillary Vistas; no weights are published",
            (Figure(34.8, PAPER),),
            size=(2048, 2048),
            data="mapillary",
            **MAPILLARY,
        ),
        _spec(
            "star-r50",
            "enhanced, Mapillary Vistas; no weights are published",
            (Figure(36.9, PAPER),),
            size=(2048, 2048),
            data="mapillary",
            **MAPILLARY,
            **STAR,
        ),
    )

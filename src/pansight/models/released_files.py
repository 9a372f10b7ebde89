"""The files that the papers' authors published, all in one table: address, size, licence.

They could not be downloaded where this was written: sizes and checksums are None until a user with a network
has run `pansight models --check`, which prints both for this table. Licences are the repositories' own; none
of them states one for the weights apart.
"""

from pansight.models.spec import ReleasedFile

_YOSO = "https://github.com/hujiecpp/YOSO/releases/download/v0.1"
_TRI = "https://tri-ml-public.s3.amazonaws.com/github/realtime_panoptic/models"
_DRIVE = "https://drive.usercontent.google.com/download"

_MIT = "MIT (its code; none is stated for the weights)"
_APACHE = "Apache-2.0 (its code; none is stated for the weights)"
_NONE = "none stated: all rights reserved by its authors"


def _yoso(data: str) -> ReleasedFile:
    name = f"yoso_res50_{data}.pth"
    return ReleasedFile(name, f"{_YOSO}/{name}", licence=_MIT, page="https://github.com/hujiecpp/YOSO")


def _panoptic_fcn(name: str, identity: str) -> ReleasedFile:
    """A file on Google Drive, at the address that gives the bytes without asking back."""
    return ReleasedFile(
        f"panoptic_fcn_{name}.pth",
        f"{_DRIVE}?id={identity}&export=download&confirm=t",
        licence=_APACHE,
        page="https://github.com/dvlab-research/PanopticFCN",
    )


def _epsnet(name: str, identity: str) -> ReleasedFile:
    return ReleasedFile(
        f"epsnet_{name}.pth",
        f"{_DRIVE}?export=download&confirm=t&id={identity}",
        licence=_NONE,
        page="https://github.com/neo85824/epsnet",
    )


_DENSE = "cvpr_realtime_pano_cityscapes_standalone_no_prefix.pth"

RELEASED: dict[str, ReleasedFile] = {
    "yoso-coco": _yoso("coco"),
    "yoso-cityscapes": _yoso("cityscapes"),
    "yoso-ade20k": _yoso("ade20k"),
    "yoso-mapillary": _yoso("mapillary"),
    "dense-cityscapes": ReleasedFile(
        _DENSE, f"{_TRI}/{_DENSE}", licence=_MIT, page="https://github.com/TRI-ML/realtime_panoptic"
    ),
    "panoptic-fcn-1x": _panoptic_fcn("r50_1x", "1tD1A5Zwbtri5OejlIz9MLKwzOzjtIMHQ"),
    "panoptic-fcn-3x": _panoptic_fcn("r50_3x", "18Re3keEkIiy7EVS-uFCNPBfT1BfT8Ng3"),
    "panoptic-fcn-512": _panoptic_fcn("r50_512_3x", "1QBYMAznZDDX7A0Mnaq3euB23rTBzwUCf"),
    "panoptic-fcn-600": _panoptic_fcn("r50_600_3x", "1gIUxy1DJ_V91IwL5_jHQDMOIgHoWn_O1"),
    "panoptic-fcn-star": _panoptic_fcn("star_r50_3x", "1_VkJIhbQg9uqN49L3cDAW66zZKJE0fkI"),
    "panoptic-fcn-cityscapes": _panoptic_fcn("r50_cityscapes", "1j29Gf0r3qz3_KQ1uQiSRUuEKoB-osRgv"),
    "epsnet-r50": _epsnet("resnet50", "1klQX2b9SSNnfmxPGoCBBgXxeybeX82yy"),
    "epsnet-r101": _epsnet("resnet101", "1pO1Vxy5tINr7YhZLfIsqjNerGhenx7o4"),
}
"""Published files by a short name of ours; several models may share one (400 and 512 of Panoptic FCN)."""

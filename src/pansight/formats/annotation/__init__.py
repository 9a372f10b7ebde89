"""Labels in the formats of annotation tools: a reader and a writer for each, side by side in one file."""

from collections.abc import Callable
from pathlib import Path

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.formats.annotation.bdd100k import Bdd100kReader, Bdd100kWriter, is_bdd100k
from pansight.formats.annotation.coco_instances import CocoInstancesWriter
from pansight.formats.annotation.cvat import CvatReader, CvatWriter, is_cvat
from pansight.formats.annotation.darwin import DarwinReader, DarwinWriter, is_darwin
from pansight.formats.annotation.datumaro import DatumaroReader, DatumaroWriter, is_datumaro
from pansight.formats.annotation.door import AnnotationFormat, AnnotationReader, AnnotationWriter, Picture
from pansight.formats.annotation.fiftyone import FiftyOneReader, FiftyOneWriter, is_fiftyone
from pansight.formats.annotation.huggingface import HuggingFaceReader, HuggingFaceWriter, is_huggingface
from pansight.formats.annotation.huggingface_datasets import SavedReader, is_saved
from pansight.formats.annotation.label_studio import LabelStudioReader, LabelStudioWriter, is_label_studio
from pansight.formats.annotation.labelme import LabelmeReader, LabelmeWriter, is_labelme
from pansight.formats.annotation.segments_ai import SegmentsAiReader, SegmentsAiWriter, is_segments_ai
from pansight.formats.annotation.supervisely import SuperviselyReader, SuperviselyWriter, is_supervisely
from pansight.formats.annotation.video import VIDEO_WRITERS
from pansight.formats.annotation.voc import CvatMaskWriter, VocReader, VocWriter, is_cvat_mask, is_voc
from pansight.formats.annotation.yolo import YoloReader, YoloWriter, is_yolo

__all__ = [
    "FORMATS",
    "VIDEO_WRITERS",
    "AnnotationFormat",
    "AnnotationReader",
    "AnnotationWriter",
    "Picture",
    "find_format",
    "find_writer",
    "recognised_format",
]


def _huggingface(path: Path, images: Path | None = None) -> AnnotationReader:
    """The reader of a folder with metadata.jsonl, or of what the package itself saved."""
    return SavedReader(path, images) if is_saved(path) else HuggingFaceReader(path, images)


_LISTED = (
    AnnotationFormat("cvat", "CVAT XML 1.1 for images", is_cvat, CvatReader, CvatWriter, ("cvat-xml",)),
    AnnotationFormat(
        "cvat-mask",
        "CVAT Segmentation mask 1.1",
        is_cvat_mask,
        VocReader,
        CvatMaskWriter,
        ("cvat-segmentation-mask", "segmentation-mask"),
    ),
    AnnotationFormat(
        "label-studio",
        "Label Studio JSON",
        is_label_studio,
        LabelStudioReader,
        LabelStudioWriter,
        ("labelstudio",),
    ),
    AnnotationFormat("datumaro", "Datumaro JSON", is_datumaro, DatumaroReader, DatumaroWriter),
    AnnotationFormat(
        "supervisely", "Supervisely project", is_supervisely, SuperviselyReader, SuperviselyWriter
    ),
    AnnotationFormat(
        "segments-ai",
        "Segments.ai release",
        is_segments_ai,
        SegmentsAiReader,
        SegmentsAiWriter,
        ("segments", "segments.ai", "segmentsai"),
    ),
    AnnotationFormat("fiftyone", "FiftyOneDataset", is_fiftyone, FiftyOneReader, FiftyOneWriter, ("51",)),
    AnnotationFormat(
        "huggingface",
        "Hugging Face datasets: an ImageFolder, what save_to_disk wrote, Parquet",
        lambda path: is_huggingface(path) or is_saved(path),
        _huggingface,
        HuggingFaceWriter,
        ("hf", "hf-datasets", "datasets"),
    ),
    AnnotationFormat(
        "yolo", "YOLO polygons", is_yolo, YoloReader, YoloWriter, ("yolo-seg", "ultralytics", "yolov8")
    ),
    AnnotationFormat("voc", "PASCAL VOC", is_voc, VocReader, VocWriter, ("pascal-voc", "pascal")),
    AnnotationFormat(
        "bdd100k",
        "BDD100K bit masks",
        is_bdd100k,
        Bdd100kReader,
        Bdd100kWriter,
        ("bdd", "bdd100k-bitmask", "bdd100k-bitmasks"),
    ),
    AnnotationFormat(
        "v7", "V7 Darwin JSON 2.0", is_darwin, DarwinReader, DarwinWriter, ("darwin", "v7-darwin")
    ),
    AnnotationFormat("labelme", "labelme JSON", is_labelme, LabelmeReader, LabelmeWriter),
)

FORMATS: dict[str, AnnotationFormat] = {one.name: one for one in _LISTED}
"""Every format by name, in the order in which a source is tried."""


def find_format(name: str) -> AnnotationFormat:
    """The format of that name, or with that alias; case and underscores do not matter.

    Raises InputError, listing all, when there is none.
    """
    wanted = name.lower().replace("_", "-")
    for one in _LISTED:
        if wanted in (one.name, *one.aliases):
            return one
    raise InputError(f"no format is called {name!r}; known are {', '.join(FORMATS)}")


def find_writer(name: str) -> Callable[[Path, Categories], AnnotationWriter]:
    """What writes the format of that name, COCO instances and video data sets among them.

    Raises InputError, listing the tools, when there is none.
    """
    wanted = name.lower().replace("_", "-")
    if wanted in ("coco-instances", "instances"):
        return CocoInstancesWriter
    return VIDEO_WRITERS.get(wanted) or find_format(name).writer


def recognised_format(path: Path) -> AnnotationFormat | None:
    """The format of what is at a location, None where it is none of these."""
    return next((one for one in _LISTED if one.recognise(path)), None)

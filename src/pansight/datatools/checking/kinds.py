"""What can be wrong with a panoptic data set: every kind of problem, how bad it is, and what helps."""

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How bad a problem is.

    ERROR: training or evaluation fails, or gives wrong results. WARNING: everything runs, but the
    result is probably not what was intended. NOTE: worth knowing, nothing to fix.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem.

    `code` names it in files and tests, `title` in tables. `remedy` says what to do by hand; `fix`, where
    it is not empty, what fixing does in the cases that are safe.
    """

    code: str
    severity: Severity
    title: str
    remedy: str
    fix: str = ""


KINDS: dict[str, Kind] = {}
"""All kinds by code, in the order of reports."""


def _kind(code: str, severity: Severity, title: str, remedy: str, fix: str = "") -> Kind:
    KINDS[code] = kind = Kind(code, severity, title, remedy, fix)
    return kind


_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

# The JSON as a whole
JSON_BROKEN = _kind("json-broken", _ERROR, "JSON that cannot be used", "write the file again")
NOT_FINITE = _kind(
    "not-finite", _ERROR, "NaN or infinity in the JSON", "write finite numbers", "measured again or left out"
)
LIST_MISSING = _kind(
    "list-missing", _NOTE, "JSON without a list", "add it, or name images and categories when opening"
)
ANNOTATION_MALFORMED = _kind(
    "annotation-malformed",
    _ERROR,
    "incomplete annotation",
    "give image_id, file_name, segments_info",
)
IMAGE_REPEATED = _kind(
    "image-repeated", _ERROR, "image listed or annotated twice", "give every image one id, and one entry"
)
FILE_REPEATED = _kind(
    "file-repeated", _ERROR, "file named by two entries", "give every image a file of its own"
)
IMAGE_UNLISTED = _kind(
    "image-unlisted", _ERROR, "annotation of an image that is not listed", "list the image"
)
IMAGE_UNANNOTATED = _kind(
    "image-unannotated", _WARNING, "listed image without annotation", "annotate it or take it off the list"
)

# Categories
CATEGORY_MALFORMED = _kind(
    "category-malformed", _ERROR, "incomplete category", "give it id, name and isthing (0 or 1)"
)
CATEGORY_REPEATED = _kind(
    "category-repeated", _ERROR, "category id or name used twice", "give every category its own"
)
CATEGORY_UNKNOWN = _kind(
    "category-unknown", _ERROR, "segment of a category that is not declared", "declare it or correct the id"
)
CATEGORY_UNUSED = _kind(
    "category-unused", _NOTE, "category without any segment", "nothing, unless you expected some"
)
CATEGORY_UNTRAINED = _kind(
    "category-untrained",
    _WARNING,
    "category that occurs in validation only",
    "add training images of it, or drop it",
)
CATEGORY_DIFFERS = _kind(
    "category-differs", _ERROR, "category that differs between the splits", "use one table for all splits"
)
THING_FLAG = _kind(
    "thing-flag", _WARNING, "isthing that differs from the known data sets", "check isthing of the category"
)
THINGS_NONE = _kind(
    "things-none", _WARNING, "table without things", "set isthing to 1 for what can be counted"
)
CROWDS_ONLY = _kind(
    "crowds-only",
    _WARNING,
    "category of which every object is a crowd",
    "set iscrowd to 0 for single objects; CVAT writes 1 for every mask",
)
LABEL_IDS = _kind(
    "label-ids",
    _ERROR,
    "label ids and train ids mixed up",
    "write category ids of the table that the JSON declares",
)
LABELS_ODD = _kind(
    "labels-odd", _WARNING, "labels in impossible places", "look at the images: are the ids shifted?"
)
THING_SINGLE = _kind(
    "thing-single",
    _WARNING,
    "thing that never occurs twice in an image",
    "look at the images: are objects told apart?",
)

# Segments in the JSON
SEGMENT_MALFORMED = _kind(
    "segment-malformed",
    _ERROR,
    "incomplete segment",
    "give it id and category_id",
    "dropped, its pixels void",
)
NUMBER_TYPE = _kind(
    "number-type", _ERROR, "number written as something else", "write whole numbers", "written as a number"
)
ID_ZERO = _kind(
    "id-zero",
    _ERROR,
    "segment with id 0, which is void",
    "give it an id from 1",
    "given a free id, or dropped",
)
ID_RANGE = _kind(
    "id-range",
    _ERROR,
    "segment id that three bytes cannot hold",
    "use ids below 16777216",
    "given the id in its panoptic PNG, or dropped",
)
ID_REPEATED = _kind(
    "id-repeated",
    _ERROR,
    "segment id listed twice",
    "give every segment its own id",
    "one row kept, if all say the same",
)
CROWD_MISSING = _kind(
    "crowd-missing", _ERROR, "segment without iscrowd", "give it iscrowd, 0 or 1", "set to 0"
)
CROWD_STUFF = _kind(
    "crowd-stuff", _WARNING, "stuff marked as a crowd", "mark it 0; only things can be crowds"
)
CROWD_REPEATED = _kind(
    "crowd-repeated",
    _WARNING,
    "several crowds of one category in an image",
    "make them one: the reference evaluator sees only the last",
    "made one segment",
)
STUFF_REPEATED = _kind(
    "stuff-repeated",
    _WARNING,
    "several segments of one stuff category in an image",
    "make them one, or the category a thing",
    "made one segment",
)

# The panoptic PNGs
LABELS_MISSING = _kind("labels-missing", _ERROR, "panoptic PNG missing", "restore the file")
LABELS_BROKEN = _kind("labels-broken", _ERROR, "panoptic PNG damaged", "replace the file")
LABELS_MODE = _kind(
    "labels-mode",
    _ERROR,
    "panoptic PNG that is not 8-bit RGB",
    "save it as RGB, id = R + 256 G + 65536 B",
    "written as RGB, where its values are the listed ids",
)
LABELS_ALPHA = _kind(
    "labels-alpha", _WARNING, "panoptic PNG with an alpha channel", "save it as RGB", "written as RGB"
)
LABELS_LOSSY = _kind(
    "labels-lossy",
    _ERROR,
    "panoptic PNG stored as JPEG or the like",
    "export it again as PNG: its ids are damaged",
)
LABELS_SIZE = _kind(
    "labels-size",
    _ERROR,
    "panoptic PNG whose size differs from the listed one",
    "correct the size, or the image",
    "size corrected, where image and panoptic PNG agree",
)
LABELS_ORPHAN = _kind(
    "labels-orphan", _WARNING, "panoptic PNG that no annotation names", "annotate it or remove it"
)
LABELS_SWAPPED = _kind(
    "labels-swapped",
    _ERROR,
    "panoptic PNG with its channels in another order",
    "save it as RGB, id = R + 256 G + 65536 B; OpenCV writes BGR",
    "ids restored, nothing lost",
)
LABELS_FOREIGN = _kind(
    "labels-foreign",
    _ERROR,
    "panoptic PNGs that do not belong to the JSON",
    "name the folder that was written with this JSON (--panoptic)",
)
PIXELS_UNLISTED = _kind(
    "pixels-unlisted", _ERROR, "pixels of ids that the JSON lacks", "list the segments", "made void"
)
SEGMENT_ABSENT = _kind("segment-absent", _ERROR, "listed segment without pixels", "drop it", "dropped")
AREA_WRONG = _kind(
    "area-wrong", _ERROR, "area that differs from the pixels", "write the number of pixels", "counted again"
)
BOX_WRONG = _kind(
    "box-wrong",
    _WARNING,
    "box that differs from the pixels",
    "write [x, y, width, height], tight",
    "measured again",
)
IMAGE_EMPTY = _kind("image-empty", _WARNING, "image without any segment", "label it or leave it out")

# The images
PICTURE_MISSING = _kind("picture-missing", _ERROR, "image missing", "restore the file")
PICTURE_BROKEN = _kind("picture-broken", _ERROR, "image damaged", "replace the file")
PICTURE_SIZE = _kind(
    "picture-size",
    _ERROR,
    "image whose size differs from its labels'",
    "take the image that was labelled",
)
PICTURE_ROTATED = _kind(
    "picture-rotated",
    _WARNING,
    "image rotated by its EXIF data",
    "store it upright: tools differ in what they show",
)
PICTURE_REPEATED = _kind("picture-repeated", _WARNING, "the same image twice in a set", "keep one of them")
PICTURE_LEAKED = _kind("picture-leaked", _ERROR, "the same image in two splits", "remove it from one of them")
PICTURE_UNLABELLED = _kind(
    "picture-unlabelled", _WARNING, "image that nothing names", "label it or remove it"
)
PICTURES_UNSEEN = _kind("pictures-unseen", _NOTE, "folder of the images not found", "name it with --images")

# Everything together
SAMPLE_BROKEN = _kind("sample-broken", _ERROR, "sample that cannot be read", "fix or replace its files")
NOTHING_COUNTS = _kind(
    "nothing-counts",
    _ERROR,
    "set without a segment that counts",
    "check ids, category ids and iscrowd: nothing can be learned or scored here",
)
FIX_HELD = _kind(
    "fix-held",
    _WARNING,
    "fix that would lose too much",
    "correct the cause above; --force fixes it all the same",
)
SELF_SCORE = _kind(
    "self-score",
    _ERROR,
    "truth that does not score 100 against itself",
    "fix what is listed above",
    "scored again after the fix",
)

# Videos
FRAMES_UNORDERED = _kind(
    "frames-unordered", _WARNING, "frames out of order", "list the frames of a video in the order of time"
)
ID_CHANGES_CLASS = _kind(
    "id-changes-class", _ERROR, "id of a video that changes its category", "give each object an id of its own"
)
ID_JUMPS = _kind(
    "id-jumps", _WARNING, "object whose id changes from frame to frame", "keep its id through the video"
)
STUFF_IDS = _kind(
    "stuff-ids",
    _WARNING,
    "stuff with several ids in a video",
    "keep one id per category: VPQ counts stuff ids",
)
VIDEO_SIZES = _kind(
    "video-sizes", _WARNING, "video whose frames differ in size", "bring its frames to one size"
)

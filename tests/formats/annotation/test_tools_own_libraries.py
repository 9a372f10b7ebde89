"""What is written, read by the tools' own libraries, and what they write, read here."""

import xml.etree.ElementTree as Tree
from pathlib import Path

import numpy as np
import pytest
import supervision
from cvat_sdk.masks import decode_mask, encode_mask
from pycocotools import mask as coco_masks

from pansight.categories import Categories
from pansight.formats.annotation import FORMATS, Picture
from pansight.formats.coco_masks import decode_segmentation
from pansight.panoptic import PanopticMap

CLASSES = Categories.from_json(
    [
        {"id": 3, "name": "car", "isthing": 1},
        {"id": 4, "name": "person", "isthing": 1},
        {"id": 7, "name": "road", "isthing": 0},
    ],
    name="mine",
)


def a_map(seed: int) -> PanopticMap:
    """Ragged segments with holes and many parts; 17 is in the last row and column only."""
    places = np.random.default_rng(seed).integers(0, 5, (11, 13))
    ids = np.array([0, 5, 9, 17, 40], np.int32)[places]
    ids[ids == 17] = 0
    ids[-1, -1] = 17
    rows = [(5, 0, 0.5, False), (9, 0, 0.25, False), (17, 1, 0.75, False), (40, 2, None, False)]
    return PanopticMap.from_table(ids, rows, CLASSES)


@pytest.mark.parametrize("seed", range(5))
def test_cvat_reads_the_masks_of_its_xml(seed: int, tmp_path: Path) -> None:
    panoptic = a_map(seed)
    writer = FORMATS["cvat"].writer(tmp_path, CLASSES)
    writer.save([writer.write(Picture(1, "a.png", "a"), panoptic).row])
    image = Tree.parse(tmp_path / "annotations.xml").find("image")
    assert image is not None
    found = []
    for row in image.iter("mask"):
        left, top, width, height = (int(row.attrib[key]) for key in ("left", "top", "width", "height"))
        runs = [float(run) for run in row.attrib["rle"].split(",")]
        encoded = [*runs, left, top, left + width - 1, top + height - 1]
        mask = decode_mask(encoded, image_width=panoptic.width, image_height=panoptic.height)
        assert encode_mask(mask) == encoded, "the box is tight, and the runs are CVAT's own"
        found.append((row.attrib["label"], mask))
    assert len(found) == len(panoptic.segments) == 4
    for segment in panoptic.segments:
        label = panoptic.categories[segment.category].name
        assert any(name == label and np.array_equal(mask, panoptic.ids == segment.id) for name, mask in found)


@pytest.mark.parametrize("seed", range(5))
def test_pycocotools_reads_run_lengths_and_its_own_are_read(seed: int) -> None:
    panoptic = a_map(seed)
    for segment, rle in zip(panoptic.segments, panoptic.to_rle(), strict=True):
        mask = panoptic.ids == segment.id
        assert np.array_equal(coco_masks.decode(rle).astype(bool), mask)
        own = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
        text = {"size": own["size"], "counts": own["counts"].decode("ascii")}
        assert np.array_equal(decode_segmentation(text, *mask.shape), mask)


@pytest.mark.parametrize("compact", [False, True])
def test_supervision_holds_every_object_with_its_tracker_id(compact: bool) -> None:
    panoptic = a_map(3)
    detections = panoptic.to_supervision(include_stuff=True, compact=compact)
    assert isinstance(detections, supervision.Detections) and len(detections) == 4
    assert sorted(np.asarray(detections.area).tolist()) == sorted(one.area for one in panoptic.segments)
    back = PanopticMap.from_supervision(detections, CLASSES)
    assert back.same_as(panoptic)
    assert {one.id for one in back.things()} == {one.id for one in panoptic.things()}

"""The doctor on real data sets: what is healthy, is healthy."""

from pathlib import Path

import pytest

from pansight.datatools.checking import check_files, find_panoptic_files

HEALTHY = {
    "coco": 6,
    "formats/coco_stuff_SPADE": 21,
    "formats/cityscapes_tiny": 1,
    "formats/ade20k_full_2021_panoptic": 3,
    "formats/coco_panoptic_mseg": 2,
    "camvid/panoptic_val.json": 101,
    "formats/cityscapes/gtFine/cityscapes_panoptic_train.json": 8,
    "formats/cityscapes/gtFine/cityscapes_panoptic_train_trainId.json": 8,
}


@pytest.mark.parametrize("place", HEALTHY)
def test_healthy_sets_are_healthy(place: str, shared_data: Path) -> None:
    sets = find_panoptic_files(shared_data / "data" / place)
    report = check_files(sets, pictures="cityscapes/" not in place)
    assert report.worst() is None, report.findings
    assert report.images == HEALTHY[place]
    assert all(score.perfect and score.images for score in report.scores)
    notes = {"category-unused", "list-missing", "pictures-unseen"}
    assert {kind.code for kind in report.counts()} <= notes


def test_empty_boxes_of_the_mapillary_dummies_are_all_that_is_wrong(
    shared_data: Path, tmp_path: Path
) -> None:
    root = shared_data / "data" / "formats" / "mapillary" / "layout_v1.2_v2.0"
    (files,) = find_panoptic_files(root / "train" / "v2.0" / "panoptic")
    report = check_files([files])
    assert {kind.code for kind in report.counts()} <= {"box-wrong", "category-unused"}
    check_files([files], fix=tmp_path / "fixed")
    fixed = check_files(find_panoptic_files(tmp_path / "fixed"), pictures=False)
    assert fixed.worst() is None

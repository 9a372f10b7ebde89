"""Data sets checked through their readers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pansight.categories import Categories
from pansight.data.coco import CocoPanoptic
from pansight.data.sample import Sample
from pansight.datatools.checking import check_samples
from pansight.errors import DataError
from pansight.panoptic import PanopticMap


class Readable:
    """A data set of four samples: one broken, one empty, one that is identical to the first."""

    categories = Categories.builtin("cityscapes")

    def __init__(self, healthy: bool = False) -> None:
        self.healthy = healthy
        self.names = ["0.png", "1.png", "2.png", "3.png"]
        self.image_ids: list[int | str] = ["a", "b", "c", "d" if healthy else "a"]

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Sample:
        truth = self.truth(index)
        seed = 0 if index == 3 and not self.healthy else index
        image = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), dtype=np.uint8)
        return Sample(image, truth, self.image_ids[index], self.names[index])

    def truth(self, index: int) -> PanopticMap:
        if index == 1 and not self.healthy:
            raise DataError("1.png: is cut off")
        ids = np.zeros((8, 9), np.int32)
        if index != 2 or self.healthy:
            ids[2:] = 1
            ids[3:5, 3:5] = 2
        return PanopticMap.from_table(ids, [(1, 0), (2, 11)], self.categories)


def test_healthy_samples() -> None:
    report = check_samples(Readable(healthy=True), "somewhere")
    assert {kind.code for kind in report.counts()} == {"category-unused"} and report.worst() is None
    (score,) = report.scores
    assert score.perfect and score.images == 4 and (report.images, report.segments) == (4, 8)


def test_what_is_wrong_with_samples() -> None:
    steps: list[tuple[int, int]] = []
    report = check_samples(Readable(), "somewhere", progress=lambda *step: steps.append(step))
    found = {finding.kind.code: finding for finding in report.findings}
    assert found["sample-broken"].file == "1.png" and "cut off" in found["sample-broken"].text
    assert found["image-empty"].file == "2.png" and found["picture-repeated"].file == "3.png"
    assert "'a'" in found["image-repeated"].text and "1 samples refused" in found["self-score"].text
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    labels = check_samples(Readable(), "somewhere", pictures=False)
    assert "picture-repeated" not in {kind.code for kind in labels.counts()}


def test_a_picture_that_cannot_be_read_leaves_its_truth(make_folder: Callable[..., Any]) -> None:
    folder = make_folder()
    (folder.pictures / "1.png").write_text("no picture")
    report = check_samples(CocoPanoptic(folder.json, folder.pictures), "somewhere")
    (finding,) = report.findings
    assert finding.kind.code == "sample-broken" and "1.png" in finding.text
    assert report.scores[0].perfect and report.scores[0].images == 3

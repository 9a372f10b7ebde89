"""Calibrated scores, and void for what the model is not sure of."""

import pytest
import torch

from pansight.errors import InputError
from pansight.merging import MergeSettings, calibrate_and_void
from pansight.merging.certainty import calibrated
from pansight.panoptic import PanopticBatch


def batch() -> PanopticBatch:
    """Two segments and void in the first image, one in the second."""
    ids = torch.tensor([[[1, 1, 2], [2, 0, 0]], [[1, 1, 1], [0, 0, 1]]])
    return PanopticBatch(
        ids,
        torch.tensor([[3, 1], [0, -1]]),
        torch.tensor([[0.9, 0.4], [0.6, 0.0]]),
        torch.tensor([[2, 2], [4, 0]]),
    )


def test_nothing_changes_unless_asked() -> None:
    given = batch()
    found = calibrate_and_void(given, MergeSettings())
    assert all(a is b for a, b in zip(found, given, strict=True))


def test_segments_below_the_bound_become_void() -> None:
    found = calibrate_and_void(batch(), MergeSettings(void_below=0.5))
    assert found.ids.tolist() == [[[1, 1, 0], [0, 0, 0]], [[1, 1, 1], [0, 0, 1]]]
    assert found.categories.tolist() == [[3, -1], [0, -1]]
    assert found.areas.tolist() == [[2, 0], [4, 0]]


def test_the_bound_is_on_calibrated_scores() -> None:
    """An offset of ln 9 makes 0.9 of 0.5."""
    torch.testing.assert_close(
        calibrated(torch.tensor([[0.5, 0.9]]), 1.0, 2.1972246), torch.tensor([[0.9, 0.98780]]),
        atol=1e-4, rtol=0,
    )  # fmt: skip
    kept = calibrate_and_void(batch(), MergeSettings(void_below=0.8, calibration=(1.0, 2.1972246)))
    assert kept.categories.tolist() == [[3, 1], [0, -1]]


def test_each_category_may_have_a_calibration_of_its_own() -> None:
    """Offsets of ln 9 and -ln 9 for categories 1 and 3: 0.4 becomes 6 / 7, 0.9 becomes a half."""
    each = ((1.0, 0.0), (1.0, 2.1972246), (1.0, 0.0), (1.0, -2.1972246))
    settings = MergeSettings(calibration=(5.0, 5.0), calibration_each=each)
    found = calibrate_and_void(batch(), settings)
    torch.testing.assert_close(found.scores[:, 0], torch.tensor([0.5, 0.6]), atol=1e-5, rtol=0)
    assert found.scores[0, 1].item() == pytest.approx(6 / 7, abs=1e-5)
    kept = calibrate_and_void(batch(), settings.replaced({"void_below": 0.55}))
    assert kept.categories.tolist() == [[-1, 1], [0, -1]]
    assert kept.ids[0].tolist() == [[0, 0, 2], [2, 0, 0]]


def test_one_calibration_takes_the_place_of_many() -> None:
    settings = MergeSettings(calibration_each=((2.0, 1.0),) * 4)
    assert settings.replaced({"void_below": 0.5}).calibration_each == ((2.0, 1.0),) * 4
    assert settings.replaced({"calibration": (1.0, 0.0)}) == MergeSettings()


def test_scores_that_are_no_numbers_stay() -> None:
    given = batch()._replace(scores=torch.tensor([[float("nan"), 0.4], [0.6, 0.0]]))
    found = calibrate_and_void(given, MergeSettings(void_below=0.5, calibration=(0.5, 0.0)))
    assert found.scores[0, 0].isnan() and found.categories[0].tolist() == [3, -1]


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(InputError, match=r"merge\.void_below 2"):
        MergeSettings().replaced({"void_below": 2})

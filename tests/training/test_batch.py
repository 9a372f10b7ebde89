"""From samples to targets: segments stay what they were."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pansight.categories import Categories, Category
from pansight.data.sample import Sample
from pansight.data.transforms import Compose, FixedCrop, Labelled, RandomCrop, Transform, generator_for
from pansight.models.preprocess import Preprocess
from pansight.panoptic import PanopticMap
from pansight.training.batch import collate, make_example

CATEGORIES = Categories([Category("a", True, 1, (0, 0, 0)), Category("b", False, 2, (9, 9, 9))])


def halves(height: int = 4, width: int = 6) -> Sample:
    """Left a crowd of id 77, right stuff of id 5, the last row void."""
    ids = np.full((height, width), 77, dtype=np.int32)
    ids[:, width // 2 :] = 5
    ids[-1] = 0
    image = np.full((height, width, 3), 200, dtype=np.uint8)
    panoptic = PanopticMap.from_table(ids, [(5, 1), (77, 0, None, True)], CATEGORIES)
    return Sample(image, panoptic, 1, "halves")


def test_targets_are_the_segments() -> None:
    sample = halves()
    batch = collate([make_example(sample, Compose(), generator_for((0,)))], 1)
    (target,) = batch.targets()
    assert target.categories.tolist() == [1, 0]
    assert target.crowd.tolist() == [False, True]
    assert np.array_equal(target.masks.numpy(), sample.panoptic.masks())


def left_half(labelled: Labelled, generator: np.random.Generator) -> Labelled:
    return Labelled(labelled.image[:, :3], labelled.ids[:, :3])


def test_segments_without_pixels_lose_their_row() -> None:
    (target,) = collate([make_example(halves(), left_half, generator_for((0,)))], 1).targets()
    assert target.categories.tolist() == [0]
    assert target.masks[0].sum() == 9


def test_padding_is_void_in_the_truth_and_zero_in_the_input() -> None:
    crops: list[Transform] = [RandomCrop((3, 2)), FixedCrop((5, 4)), RandomCrop((4, 6))]
    examples = [make_example(halves(), crop, generator_for((3,))) for crop in crops]
    batch = collate(examples, 32)
    assert batch.images.shape == (3, 3, 32, 32)
    assert batch.sizes.tolist() == [[3, 2], [5, 4], [4, 6]]
    preprocess = Preprocess(mean=(1, 2, 3), std=(1, 1, 1))
    inputs = batch.inputs(preprocess)
    for i, (target, (height, width)) in enumerate(zip(batch.targets(), batch.sizes.tolist(), strict=True)):
        assert target.size == (height, width)
        assert not target.masks[:, height:].any()
        assert not target.masks[:, :, width:].any()
        assert not inputs[i, :, height:].any()
        assert not inputs[i, :, :, width:].any()
        inside = torch.from_numpy(examples[i].image.transpose(2, 0, 1).copy())
        assert torch.equal(inputs[i, :, :height, :width], preprocess.normalise(inside[None])[0])


def test_pictures_without_segments_have_empty_targets(toy: Callable[..., Any]) -> None:
    void = Sample(
        np.zeros((4, 4, 3), np.uint8),
        PanopticMap.from_table(np.zeros((4, 4), np.int32), [], CATEGORIES),
        0,
        "",
    )
    examples = [make_example(void, Compose(), generator_for((0,)))]
    (target,) = collate(examples, 4).targets()
    assert target.masks.shape == (0, 4, 4)
    both = collate([*examples, make_example(toy(0, 1)[0], Compose(), generator_for((0,)))], 4).targets()
    assert len(both[0].categories) == 0
    assert len(both[1].categories) >= 2


def test_objects_that_a_crop_strikes_off_are_ignored_like_groups() -> None:
    def strike(labelled: Labelled, generator: np.random.Generator) -> Labelled:
        assert labelled.objects.tolist() == [1]  # its row; stuff and groups are no objects
        return labelled._replace(objects=labelled.objects[:0])

    ids = np.ones((4, 4), dtype=np.int32)
    ids[2:] = 5
    panoptic = PanopticMap.from_table(ids, [(1, 0), (5, 1)], CATEGORIES)
    sample = Sample(np.zeros((4, 4, 3), dtype=np.uint8), panoptic, 1, "struck")
    for transform, expected in ((Compose(), [False, False]), (strike, [True, False])):
        (target,) = collate([make_example(sample, transform, generator_for((0,)))], 1).targets()
        assert target.categories.tolist() == [0, 1]
        assert target.crowd.tolist() == expected

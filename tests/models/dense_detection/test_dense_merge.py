"""From maps to panoptic maps: scenes whose answer is known, sizes of all kinds, options."""

from typing import Any

import pytest
import torch

from pansight.merging import Form
from pansight.merging.sizes import Sizes
from pansight.models.dense_detection import DenseDetectionConfig, DenseMergeSettings, DenseOutputs
from pansight.models.dense_detection.merge import merge_dense
from pansight.models.dense_detection.outputs import STRIDES
from pansight.panoptic import PanopticBatch

IS_THING = torch.tensor([True, False, True, False])
LAWN = 3
Rectangle = tuple[int, int, int, int, int]
"""thing channel, x1, y1, x2, y2"""


def outputs_for(height: int, width: int, *objects: Rectangle, stuff: int = LAWN) -> DenseOutputs:
    """What a perfect network says of one picture of rectangles on one kind of stuff; later ones in front."""
    levels: list[list[torch.Tensor]] = [[], [], []]
    for stride in STRIDES:
        h, w = -(-height // stride), -(-width // stride)
        y = (stride * torch.arange(h) + stride // 2)[:, None].expand(h, w)
        x = (stride * torch.arange(w) + stride // 2)[None].expand(h, w)
        classes = torch.full((1, 2, h, w), -9.0)
        centerness, offsets = torch.full((1, 1, h, w), -9.0), torch.ones(1, 4, h, w)
        for channel, x1, y1, x2, y2 in objects:
            here = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
            sides = torch.stack((x - x1, y - y1, x2 - x, y2 - y)).float()
            across, down = sides[0::2], sides[1::2]
            share = (across.amin(0) / across.amax(0)) * (down.amin(0) / down.amax(0))
            offsets[0, :, here] = sides[:, here]
            classes[0, :, here] = -9.0
            classes[0, channel, here] = 9.0
            if stride == 8:  # else each object is found on several levels
                centerness[0, 0, here] = torch.logit(share.clamp(1e-3, 1 - 1e-3)).float()[here]
            else:
                classes[0, channel, here] = -9.0
        for maps, level in zip(levels, (classes, centerness, offsets), strict=True):
            maps.append(level)
    h8, w8 = -(-height // 8), -(-width // 8)
    levelness = torch.zeros(1, 6, 2 * h8, 2 * w8)
    levelness[:, 1] = 9
    semantic = torch.zeros(1, 4, h8, w8)
    semantic[:, stuff] = 9
    for channel, x1, y1, x2, y2 in objects:
        part = semantic[0, :, -(-(y1 - 4) // 8) : -(-(y2 - 4) // 8), -(-(x1 - 4) // 8) : -(-(x2 - 4) // 8)]
        part[:] = 0
        part[2 * channel] = 9
    return DenseOutputs(tuple(levels[0]), tuple(levels[1]), tuple(levels[2]), levelness, semantic)


def config(**changes: Any) -> DenseDetectionConfig:
    """Changes of the configuration, or of its `merge`."""
    mine = {name: changes.pop(name) for name in list(changes) if name in DenseMergeSettings.model_fields}
    merge = DenseMergeSettings(**{"stuff_area": 1, "object_threshold": 0.2, **mine})
    return DenseDetectionConfig(merge=merge, **changes)


def merged(
    outputs: DenseOutputs,
    sizes: Sizes,
    options: DenseDetectionConfig,
    is_thing: torch.Tensor = IS_THING,
    form: Form = "pruned",
) -> PanopticBatch:
    return merge_dense(outputs, sizes, options, options.merge, is_thing, form)


def same_size(height: int, width: int) -> Sizes:
    return Sizes((height, width), [(height, width)], [(height, width)])


def joined(*outputs: DenseOutputs) -> DenseOutputs:
    """A batch of pictures of one padded size."""
    parts = [
        tuple(torch.cat(maps) for maps in zip(*(o[field] for o in outputs), strict=True))
        for field in range(3)
    ]
    levelness = [o.levelness for o in outputs if o.levelness is not None]
    semantic = torch.cat([o.semantic_logits for o in outputs])
    return DenseOutputs(parts[0], parts[1], parts[2], torch.cat(levelness), semantic)


@pytest.mark.parametrize("kind", ["giou", "iou"])
@pytest.mark.parametrize("levelness", [True, False])
def test_two_objects_on_a_lawn(kind: Any, levelness: bool) -> None:
    outputs = outputs_for(64, 96, (0, 8, 8, 48, 40), (1, 56, 16, 88, 56))
    if not levelness:
        outputs = outputs._replace(levelness=None)
    options = config(location_probability=kind, levelness=levelness, mask_loss=False)
    batch = merged(outputs, same_size(64, 96), options)
    assert sorted(batch.categories[0, :2].tolist()) == [0, 2]
    assert batch.categories[0, 2] == LAWN
    dog, cat = (1 + batch.categories[0, :2].tolist().index(category) for category in (0, 2))
    # well inside and well outside
    assert (batch.ids[0, 14:34, 14:42] == dog).all()
    assert (batch.ids[0, 22:50, 62:82] == cat).all()
    assert (batch.ids[0, :4] == 3).all()
    assert batch.areas[0, dog - 1] == pytest.approx(40 * 32, rel=0.15)


@pytest.mark.parametrize("size", [(64, 64), (61, 90), (33, 47), (130, 70)])
def test_one_object_fills_a_picture_of_any_size(size: tuple[int, int]) -> None:
    # the object goes on where the last cells of P3 reach beyond the picture
    whole = (1, 0, 0, -(-size[1] // 8) * 8, -(-size[0] // 8) * 8)
    batch = merged(outputs_for(*size, whole), same_size(*size), config())
    assert batch.ids.shape == (1, *size)
    assert (batch.ids == 1).all()
    assert batch.categories[0, :2].tolist() == [2, -1]


def test_a_picture_with_nothing_but_stuff() -> None:
    outputs = outputs_for(40, 56, stuff=1)
    batch = merged(outputs, same_size(40, 56), config())
    assert (batch.ids == 1).all()
    assert batch.categories[0, :2].tolist() == [1, -1]
    assert batch.scores[0, 0] == 1
    empty = merged(outputs, same_size(40, 56), config(stuff_area=40 * 56 + 1))
    assert (empty.ids == 0).all()
    assert (empty.categories == -1).all()


def test_more_than_a_hundred_objects() -> None:
    """All score alike, so the limit of 100 keeps all; the fixed form keeps 100."""
    objects = [(0, 24 * i + 4, 24 * j + 4, 24 * i + 20, 24 * j + 20) for j in range(10) for i in range(12)]
    outputs = outputs_for(240, 288, *objects)
    batch = merged(outputs, same_size(240, 288), config(mask_threshold=0.3))
    assert int((batch.categories[0] == 0).sum()) == 120
    fixed = merged(outputs, same_size(240, 288), config(mask_threshold=0.3, budget=100), form="fixed")
    assert int((fixed.categories[0] == 0).sum()) == 100
    assert fixed.categories.shape[1] == 100 + 4


def test_batches_of_different_sizes_are_what_they_are_alone() -> None:
    pictures = [
        outputs_for(72, 104, (0, 8, 8, 48, 40), (1, 40, 16, 88, 56)),
        outputs_for(72, 104, stuff=1),
        outputs_for(72, 104, (1, 0, 0, 64, 48)),
    ]
    valid, output = [(72, 104), (50, 61), (48, 64)], [(72, 104), (100, 122), (30, 40)]
    batch = merged(joined(*pictures), Sizes((72, 104), valid, output), config())
    assert batch.ids.shape == (3, 100, 122)
    for i, (height, width) in enumerate(output):
        one = merged(pictures[i], Sizes((72, 104), [valid[i]], [output[i]]), config())
        assert torch.equal(batch.ids[i, :height, :width], one.ids[0])
        assert (batch.ids[i, height:] == 0).all()
        assert (batch.ids[i, :, width:] == 0).all()
        for all_rows, rows in zip(batch[1:4], one[1:4], strict=True):
            assert torch.equal(all_rows[i], rows[0])
    assert (batch.ids[2, :26, :36] == 1).all()


def test_unclaimed_pixels_of_things_are_void_or_their_best_stuff() -> None:
    outputs = outputs_for(64, 96, (0, 8, 8, 48, 40))
    quiet = outputs._replace(class_logits=tuple(level - 18 for level in outputs.class_logits))
    outputs.semantic_logits[0, 1] += torch.where(outputs.semantic_logits[0, 0] > 0, 1.0, 0.0)  # second best
    void = merged(quiet, same_size(64, 96), config())
    assert (void.ids[0, 12:36, 12:44] == 0).all()
    assert void.categories[0, :2].tolist() == [LAWN, -1]
    filled = merged(quiet, same_size(64, 96), config(fill_stuff=True))
    assert filled.categories[0, :3].tolist() == [1, LAWN, -1]
    assert (filled.ids[0, 12:36, 12:44] == 1).all()


def test_boxes_below_the_object_threshold_become_no_segment() -> None:
    outputs = outputs_for(64, 96, (0, 8, 8, 48, 40))
    best = float(merged(outputs, same_size(64, 96), config()).scores[0, 0])
    assert merged(outputs, same_size(64, 96), config(object_threshold=best)).scores[0, 0] == best
    above = merged(outputs, same_size(64, 96), config(object_threshold=best + 1e-4))
    assert above.categories[0, :2].tolist() == [LAWN, -1]


def test_only_things_or_only_stuff() -> None:
    outputs = outputs_for(32, 32, (0, 0, 0, 32, 32))
    everything = torch.ones(4, dtype=torch.bool)
    four = outputs._replace(class_logits=tuple(c.repeat(1, 2, 1, 1) for c in outputs.class_logits))
    for fill in (False, True):
        batch = merged(four, same_size(32, 32), config(fill_stuff=fill), everything)
        assert set(batch.categories[0].tolist()) == {0, -1}

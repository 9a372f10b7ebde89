"""From the network's maps to panoptic maps: against the method word by word, and every rule by itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import panoptic_fcn_literal as literal
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pansight.categories import Categories, Category
from pansight.merging import Form, PriorityRule
from pansight.merging.sizes import Sizes
from pansight.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig, PanopticFCNMergeSettings
from pansight.models.panoptic_fcn.fusion import first_alike, fuse_things
from pansight.models.panoptic_fcn.merge import SoftInstances, merge_panoptic_fcn
from pansight.models.panoptic_fcn.outputs import STRIDES, PanopticFCNOutputs
from pansight.models.panoptic_fcn.positions import (
    Peaks,
    find_peaks,
    find_regions,
    level_peaks,
    steadied_peaks,
)
from pansight.models.preprocess import Preprocess

Make = Callable[..., Any]

OUTPUTS = {
    "as large as the input": ((64, 96), (64, 96)),
    "enlarged": ((60, 90), (81, 133)),
    "shrunk, without antialiasing": ((60, 90), (25, 41)),
}


def random_outputs(model: PanopticFCN, height: int, width: int, batch: int, seed: int) -> PanopticFCNOutputs:
    """Confident maps, of few channels so that many kernels resemble one another."""
    generator = torch.Generator().manual_seed(seed)

    def draw(channels: int, size: tuple[int, int], scale: float = 1.0) -> Tensor:
        return scale * torch.randn(batch, channels, *size, generator=generator)

    sizes = [(-(-height // stride), -(-width // stride)) for stride in STRIDES]
    stuff = len(model.stuff_categories) + model.config.things_as_stuff
    channels = model.config.pyramid_channels
    return PanopticFCNOutputs(
        tuple(draw(2, size, 2.5) for size in sizes),
        tuple(draw(stuff, size, 2.0) for size in sizes),
        tuple(draw(channels, size, 3.0) for size in sizes),
        draw(model.config.encoder_channels, (height // 4, width // 4)).relu(),
    )


def plain_model(small_fcn: Make, **changes: Any) -> PanopticFCN:
    """Its kernels are what stands in the maps."""
    changes = {"pyramid_channels": 4, "norm_group": 1, "encoder_channels": 4, **changes}
    model: PanopticFCN = small_fcn(**changes)
    for generator in (model.thing_generator, model.stuff_generator):
        generator.embed_extractor.weight.data = torch.eye(4)[..., None, None]
        generator.embed_extractor.bias = torch.nn.Parameter(torch.zeros(4))
    model.requires_grad_(False)
    return model


def compare(model: PanopticFCN, outputs: PanopticFCNOutputs, sizes: Sizes, form: Form = "pruned") -> None:
    """All three kinds of output with the loops'."""
    batch = model.merge(outputs, sizes, None, form)
    labels = model.semantics(outputs, sizes, form)
    lists = model.instances(outputs, sizes, None, form)
    for picture, (height, width) in enumerate(sizes.output):
        ids, categories = literal.panoptic(model, outputs, sizes, picture)
        assert int((batch.ids[picture, :height, :width] != ids).sum()) <= 1
        assert not batch.ids[picture, height:].any() and not batch.ids[picture, :, width:].any()
        assert [c for c in batch.categories[picture].tolist() if c >= 0] == categories
        wanted = literal.semantics(model, outputs, sizes, picture)
        assert int((labels[picture, :height, :width] != wanted).sum()) <= 1
        rows = literal.instances(model, outputs, sizes, picture)
        np.testing.assert_allclose(lists[picture].scores, [row[0] for row in rows], rtol=1e-4)
        assert lists[picture].categories.tolist() == [int(model.thing_categories[row[1]]) for row in rows]
        for mine, (_, _, theirs), box in zip(lists[picture].masks, rows, lists[picture].boxes, strict=True):
            assert int((mine != theirs).sum()) <= 1
            y, x = mine.nonzero().unbind(1)
            ends = [x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0]
            assert box.tolist() == [float(end) for end in ends]


@pytest.mark.parametrize("form", ["pruned", "fixed"])
@pytest.mark.parametrize("size", OUTPUTS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"things_as_stuff": False},
        {"class_aware_fusion": False, "similarity_threshold": 0.7},
        {"thing_threshold": 0.6, "stuff_threshold": 0.7},
        {"top": 12},
    ],
    ids=str,
)
def test_everything_against_loops(small_fcn: Make, changes: dict[str, Any], size: str, form: Form) -> None:
    model = plain_model(small_fcn, **changes)
    outputs = random_outputs(model, 64, 96, 2, seed=len(size) + len(changes))
    valid, output = OUTPUTS[size]
    # the second picture differs in both sizes
    sizes = Sizes((64, 96), [valid, (64, 70)], [output, (33, 77)])
    compare(model, outputs, sizes, form)


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_seeds(seed: int) -> None:
    config = PanopticFCNConfig(
        depth=18,
        width=8,
        pyramid_channels=4,
        norm_group=1,
        encoder_channels=4,
        top=20,
        merge=PanopticFCNMergeSettings(stuff_area=9),
    )
    categories = Categories(
        [Category(n, n > "b", i + 1, (i, 0, 0)) for i, n in enumerate("abcd")], name="four"
    )
    torch.manual_seed(seed)
    model = PanopticFCN(config, categories, Preprocess()).requires_grad_(False).eval()
    for generator in (model.thing_generator, model.stuff_generator):
        generator.embed_extractor.weight.data = torch.randn(4, 4)[..., None, None]
    compare(model, random_outputs(model, 32, 64, 1, seed), Sizes((32, 64), [(30, 61)], [(40, 50)]))


# Peaks.


def test_a_level_gives_no_more_peaks_than_it_has_cells() -> None:
    logits = torch.randn(2, 5, 2, 3)
    scores, _, cells = level_peaks(logits, 5, 50)
    assert scores.shape == (2, 6) and int(cells.max()) < 6


def test_a_plateau_keeps_all_its_cells() -> None:
    # far from the border, where padding counts
    peaks = steadied_peaks(torch.zeros(1, 1, 9, 9), 3)
    assert (peaks[0, 0, 1:-1, 1:-1] == 0.5).all()
    # four of nine cells are there at a corner: (0.5 + 4 * 0.5 / 9) / 2, but its neighbour is larger
    assert peaks[0, 0, 0, 0] == 0 and peaks[0, 0, 0, 4] == 0


def test_a_peak_must_exceed_the_threshold(blank_outputs: Make, small_config: Make) -> None:
    outputs = blank_outputs(64, 64)
    outputs.things[0][0, 1, 4, 4] = 1.0
    score = float(find_peaks(outputs, small_config()).scores[0, 0])
    for threshold, count in ((score, 0), (float(np.nextafter(np.float32(score), np.float32(0))), 1)):
        peaks = find_peaks(outputs, small_config(thing_threshold=threshold))
        assert int(peaks.kept.sum()) == count
    assert peaks.classes[0, 0] == 1


@pytest.mark.parametrize("form", ["pruned", "fixed"])
def test_regions_divide_by_the_whole_level(blank_outputs: Make, small_config: Make, form: Form) -> None:
    outputs = blank_outputs(64, 64)
    outputs.stuff[0][0, 2, :2, :3] = 5.0
    outputs.kernels[0][:] = 1.0
    regions = find_regions(outputs, small_config(), form)
    torch.testing.assert_close(regions.kernels[0, 0, 2], torch.full((4,), 6 / 64))
    torch.testing.assert_close(regions.scores[0, 0, 2], torch.tensor(5.0).sigmoid())
    assert regions.kept[0].tolist() == [[True, False, True], *[[True, False, False]] * 4]


# Fusion.


def peaks_of(kernels: list[list[float]], classes: list[int] | None = None) -> Peaks:
    count = len(kernels)
    return Peaks(
        torch.tensor([kernels]),
        torch.tensor([classes or [0] * count]),
        torch.linspace(0.9, 0.5, count)[None],
        torch.ones(1, count, dtype=torch.bool),
    )


def test_what_belongs_to_a_suppressed_peak_is_lost(small_fcn: Make, small_config: Make) -> None:
    """A chain: b resembles a, c resembles b but not a. c stays out, and a's mean has no part of it."""
    angle = np.deg2rad(20)  # cos 20 degrees = 0.94, cos 40 = 0.77
    chain = [[float(np.cos(i * angle)), float(np.sin(i * angle)), 0.0, 0.0] for i in range(3)]
    model = plain_model(small_fcn)
    fused = fuse_things(peaks_of(chain), model.thing_generator, small_config(), "pruned")
    assert fused.kept[0].tolist() == [True, *[False] * (fused.kept.shape[1] - 1)]
    torch.testing.assert_close(fused.kernels[0, 0], torch.tensor(chain[:2]).mean(0))


def test_cosine_of_just_the_threshold_is_alike(small_config: Make) -> None:
    kernels = torch.tensor([[[1.0, 0.0], [3.0, 4.0]]])
    cosine = float(torch.nn.functional.normalize(kernels[0, 1], dim=0)[0])
    kept, classes = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.int64)
    for threshold, first in ((cosine, 0), (cosine + 1e-6, 1)):
        config = small_config(similarity_threshold=threshold)
        assert first_alike(kernels, classes, kept, config)[0].tolist() == [0, first]


def test_kernels_of_zero_are_like_nothing(small_fcn: Make, small_config: Make) -> None:
    model = plain_model(small_fcn)
    fused = fuse_things(peaks_of([[0.0] * 4] * 3), model.thing_generator, small_config(), "pruned")
    assert int(fused.kept.sum()) == 3 and fused.kernels.isfinite().all()


# Merge.


def test_things_are_no_stuff_segment_but_win_pixels(blank_outputs: Make, small_fcn: Make) -> None:
    """Class 0 everywhere: more than the least area of stuff, and yet void."""
    model = plain_model(small_fcn)
    outputs = blank_outputs(64, 96)
    outputs.features[:, 0] = 1.0
    for maps in outputs.kernels:
        maps[:, 0] = 3.0
    sizes = Sizes((64, 96), [(64, 96)], [(64, 96)])
    assert not model.semantics(outputs, sizes).any()
    batch = model.merge(outputs, sizes)
    assert not batch.ids.any() and (batch.categories == -1).all()
    for logits in outputs.stuff:
        logits[:, 2] = 4.0
    batch = model.merge(outputs, sizes)
    assert (batch.ids == 1).all() and batch.categories[0, 0] == model.stuff_categories[1]
    assert batch.areas[0, 0] == 64 * 96


@pytest.mark.parametrize("form", ["pruned", "fixed"])
@pytest.mark.parametrize("things_as_stuff", [True, False])
def test_nothing_at_all(blank_outputs: Make, small_fcn: Make, things_as_stuff: bool, form: Form) -> None:
    """No peak, no region: the released code crashes."""
    model = plain_model(small_fcn, stuff_threshold=0.99, things_as_stuff=things_as_stuff)
    outputs = blank_outputs(64, 96, batch=2, stuff=2 + things_as_stuff)
    sizes = Sizes((64, 96), [(64, 96)] * 2, [(50, 60), (70, 40)])
    batch = model.merge(outputs, sizes, None, form)
    assert batch.ids.shape == (2, 70, 60) and not batch.ids.any()
    assert model.semantics(outputs, sizes).unique().tolist() == [-1, 0]
    assert [len(found.scores) for found in model.instances(outputs, sizes)] == [0, 0]


def instances_of(masks: Tensor, scores: list[float]) -> SoftInstances:
    count = len(masks)
    return SoftInstances(
        masks[None].float(),
        torch.zeros(1, count, dtype=torch.int64),
        torch.tensor([scores]),
        torch.ones(1, count, dtype=torch.bool),
    )


def test_a_mask_that_is_just_half_taken_is_painted() -> None:
    masks = torch.zeros(3, 8, 8)
    masks[0, :4] = 1
    masks[1, 2:6] = 1  # half of it is taken
    masks[2, 3:7, :5] = 1  # three quarters are
    masks[2, 7, 0] = 1
    sizes = Sizes((8, 8), [(8, 8)], [(8, 8)])
    batch = merge_panoptic_fcn(
        instances_of(masks, [0.9, 0.8, 0.7]),
        torch.zeros(1, 8, 8, dtype=torch.int64),
        sizes,
        torch.tensor([0]),
        torch.tensor([1]),
        PriorityRule(0.4, False, 0.5, 4),
        "pruned",
    )
    assert batch.areas[0].tolist()[:3] == [32, 16, 0]


def test_stuff_of_just_the_least_area_is_painted() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[0, 0, :4], labels[0, 1, :3] = 1, 2
    empty = instances_of(torch.zeros(0, 8, 8), [])
    empty = empty._replace(scores=torch.zeros(1, 0))
    batch = merge_panoptic_fcn(
        empty,
        labels,
        Sizes((8, 8), [(8, 8)], [(8, 8)]),
        torch.tensor([0]),
        torch.tensor([1, 2]),
        PriorityRule(0.4, False, 0.5, 4),
        "pruned",
    )
    assert [c for c in batch.categories[0].tolist() if c >= 0] == [1]
    assert int((batch.ids > 0).sum()) == 4


@pytest.mark.parametrize("form", ["pruned", "fixed"])
def test_300_objects(blank_outputs: Make, small_fcn: Make, form: Form) -> None:
    """Each a peak with a channel of its own, on one of two levels; the best fifty of either remain."""
    count = 300
    model = plain_model(small_fcn)
    model.thing_generator.embed_extractor.weight.data = torch.eye(count)[..., None, None]
    model.thing_generator.embed_extractor.bias = torch.nn.Parameter(torch.zeros(count))
    model.stuff_generator.embed_extractor.weight.data = torch.zeros(count, count, 1, 1)
    model.stuff_generator.embed_extractor.bias = torch.nn.Parameter(torch.zeros(count))
    outputs = blank_outputs(512, 512, channels=count)
    outputs.features[:] = -1.0
    for row in range(count):
        level, place = divmod(row, 150)
        step = 4 >> level
        y, x = (step * (number + 1) for number in divmod(place, 15))
        outputs.things[level][0, row % 2, y, x] = 3 + row / 300
        outputs.kernels[level][0, row, y, x] = 9.0
        y, x = (6 * number for number in divmod(row, 20))
        outputs.features[0, row, y : y + 5, x : x + 5] = 1.0
    sizes = Sizes((512, 512), [(512, 512)], [(512, 512)])
    batch = model.merge(outputs, sizes, model.config.merge.replaced({"budget": 100}), form)
    assert int((batch.categories >= 0).sum()) == int(batch.ids.max()) == 100
    assert (batch.areas[0, :100] >= 16 * 16).all()


def test_an_object_on_the_border(blank_outputs: Make, small_fcn: Make) -> None:
    model = plain_model(small_fcn)
    outputs = blank_outputs(64, 96)
    outputs.things[1][0, 1, 0, 5] = 4.0
    outputs.kernels[1][0, 1, 0, 5] = 8.0
    outputs.features[0, 1] = -1.0
    outputs.features[0, 1, :4, 20:] = 1.0
    sizes = Sizes((64, 96), [(64, 96)], [(64, 96)])
    forms: list[Form] = ["pruned", "fixed"]
    for form in forms:
        batch = model.merge(outputs, sizes, None, form)
        assert batch.categories[0, 0] == model.thing_categories[1]
        assert (batch.ids[0, :14, 84:] == 1).all() and not batch.ids[0, 20:].any()
    found = model.instances(outputs, sizes)[0]
    assert found.boxes[0, 1:3].tolist() == [0.0, 96.0]

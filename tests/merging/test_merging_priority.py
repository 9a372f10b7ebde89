"""merge_by_priority against a literal transcription of the published procedure, in both of its forms."""

from typing import NamedTuple
from unittest import mock

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pansight.merging import Form, PriorityRule, SoftMasks, merge_by_priority, priority
from pansight.merging import priority_pruned as pruned
from pansight.merging.room import Room
from pansight.merging.sizes import Sizes
from pansight.merging.tiles import upsample
from pansight.merging.upsampling import interpolated
from pansight.panoptic import PanopticBatch

THINGS = torch.tensor([False, True, True, False, False])
STUFF = [0, 3, 4]
FORMS: list[Form] = ["pruned", "fixed"]
HALF = PriorityRule(0.5, True, 0.5, 1)
Rows = list[tuple[int, float, int]]


class Scene(NamedTuple):
    """One picture's masks, in any order."""

    masks: SoftMasks
    semantics: Tensor
    sizes: Sizes
    rule: PriorityRule


class Literal(NamedTuple):
    ids: Tensor
    rows: Rows
    margin: float
    """how far the nearest value was from the threshold"""


def literal_merge(scene: Scene, beneath: Tensor | None = None, allowed: Tensor | None = None) -> Literal:
    """The procedure step by step, with loops and every mask at full size."""
    masks, semantics, sizes, rule = scene
    values = torch.zeros(0, *sizes.output[0])
    if masks.kept.numel():
        values = interpolated(masks.values, sizes.padded, sizes.valid[0], sizes.output[0])[0]
    binary = values >= rule.mask_threshold if rule.inclusive else values > rule.mask_threshold
    ids = torch.zeros(sizes.output[0], dtype=torch.int32)
    covered = torch.zeros(sizes.output[0], dtype=torch.bool)
    rows: Rows = []
    order = sorted(range(len(binary)), key=lambda i: -float(masks.scores[0, i]))
    for i in order:
        if not masks.kept[0, i]:
            continue
        covered |= binary[i]
        area = int(binary[i].sum())
        if area == 0 or (allowed is not None and not allowed[0, i]):
            continue
        if int((binary[i] & (ids > 0)).sum()) / area > rule.max_occlusion:
            continue
        free = binary[i] & (ids == 0)
        if not free.any():
            continue
        rows.append((int(masks.categories[0, i]), round(float(masks.scores[0, i]), 5), int(free.sum())))
        ids[free] = len(rows)
    things = ids > 0
    labels = semantics[0] if beneath is None else torch.where(covered, beneath[0], semantics[0])
    for category in STUFF:
        free = (labels == category) & ~things
        if int(free.sum()) < max(1, rule.stuff_area):
            continue
        rows.append((category, 1.0, int(free.sum())))
        ids[free] = len(rows)
    kept = values[masks.kept[0]]
    margin = float((kept - rule.mask_threshold).abs().min()) if kept.numel() else 1.0
    return Literal(ids, rows, margin)


def table_of(batch: PanopticBatch, picture: int = 0) -> Rows:
    """Filled rows: category, score, area. Empty rows must be empty and last."""
    filled = int((batch.categories[picture] >= 0).sum())
    assert (batch.categories[picture, filled:] == -1).all()
    assert (batch.scores[picture, filled:] == 0).all()
    assert (batch.areas[picture, filled:] == 0).all()
    columns = (batch.categories, batch.scores, batch.areas)
    rows = zip(*(column[picture, :filled].tolist() for column in columns), strict=True)
    return [(category, round(score, 5), area) for category, score, area in rows]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Masks of any smoothness that overlap much, and sizes that enlarge, crop and shrink."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    count = draw(st.integers(0, 11))
    height, width = draw(st.integers(2, 13)), draw(st.integers(2, 13))
    coarse = draw(st.sampled_from([1, 2, 5]))
    values = torch.rand(1, count, -(-height // coarse), -(-width // coarse), generator=generator)
    values = values.repeat_interleave(coarse, 2).repeat_interleave(coarse, 3)[:, :, :height, :width]
    values = values + 0.1 * torch.randn(1, count, height, width, generator=generator)
    ratio = draw(st.sampled_from([1, 2, 4]))
    padded = (height * ratio, width * ratio)
    valid = (draw(st.integers(1, padded[0])), draw(st.integers(1, padded[1])))
    output = valid if draw(st.booleans()) else (draw(st.integers(1, 61)), draw(st.integers(1, 61)))
    masks = SoftMasks(
        values,
        torch.randint(1, 6, (1, count), generator=generator) / 6,
        torch.randint(1, 3, (1, count), generator=generator),
        torch.rand(1, count, generator=generator) < 0.9,
    )
    semantics = torch.randint(-1, 5, (1, *output), generator=generator, dtype=torch.int32)
    threshold, inclusive = draw(st.sampled_from([0.2, 0.4, 0.5, 0.8])), draw(st.booleans())
    overlap = draw(st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]))
    rule = PriorityRule(threshold, inclusive, overlap, draw(st.sampled_from([0, 1, 40])))
    return Scene(masks, semantics, Sizes(padded, [valid], [output]), rule)


def check(scene: Scene, name: Form, beneath: Tensor | None = None, allowed: Tensor | None = None) -> None:
    expected = literal_merge(scene, beneath, allowed)
    assume(expected.margin > 1e-5)
    masks, semantics, sizes, rule = scene
    batch = merge_by_priority(masks, semantics, sizes, THINGS, rule, name, beneath=beneath, allowed=allowed)
    assert torch.equal(batch.ids[0], expected.ids)
    assert table_of(batch) == expected.rows


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=80)
@given(scene=scenes())
def test_is_the_literal_procedure(name: Form, scene: Scene) -> None:
    check(scene, name)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=40)
@given(scene=scenes(), seed=st.integers(0, 1000))
def test_labels_beneath_masks_and_masks_that_only_cover(name: Form, scene: Scene, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    beneath = torch.randint(-1, 5, scene.semantics.shape, generator=generator, dtype=torch.int32)
    check(scene, name, beneath, torch.rand(scene.masks.kept.shape, generator=generator) < 0.7)


def plates(*areas: tuple[slice, slice], size: tuple[int, int] = (8, 8)) -> Tensor:
    """Masks that are 1 on one rectangle each."""
    masks = torch.zeros(1, len(areas), *size)
    for mask, (rows, columns) in zip(masks[0], areas, strict=True):
        mask[rows, columns] = 1
    return masks


def merge(
    form: Form, values: Tensor, scores: list[float], rule: PriorityRule, semantics: Tensor
) -> PanopticBatch:
    size = (values.shape[2], values.shape[3])
    masks = SoftMasks(
        values,
        torch.tensor([scores]),
        torch.ones(1, len(scores), dtype=torch.int64),
        torch.ones(1, len(scores)) > 0,
    )
    return merge_by_priority(masks, semantics, Sizes(size, [size], [size]), THINGS, rule, form)


ALL = slice(None)
SKY = torch.full((1, 8, 8), 3)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("overlap", "accepted"), [(0.5, True), (0.49, False), (0.25, False), (0.75, True)])
def test_a_share_of_just_the_threshold_passes(name: Form, overlap: float, accepted: bool) -> None:
    values = plates((slice(0, 4), ALL), (slice(2, 6), ALL))
    batch = merge(name, values, [0.9, 0.8], PriorityRule(0.5, True, overlap, 1), SKY)
    areas = [32, 16, 16] if accepted else [32, 32]
    assert [row[2] for row in table_of(batch)] == areas


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("overlap", [0.1, 0.3, 0.6, 0.7, 0.9])
def test_shares_that_are_no_binary_fractions_are_exact_too(name: Form, overlap: float) -> None:
    """10 rows, of which overlap * 10 are taken: neither 0.7 nor 0.1 * 3 is a double."""
    taken = round(overlap * 10)
    values = plates((slice(0, taken), ALL), (slice(0, 10), ALL), size=(12, 4))
    batch = merge(name, values, [0.9, 0.8], PriorityRule(0.5, True, overlap, 1), torch.full((1, 12, 4), 1))
    assert len(table_of(batch)) == 2
    values[0, 1, 10] = 0
    values[0, 1, 9] = 0  # one row less: the share grows
    batch = merge(name, values, [0.9, 0.8], PriorityRule(0.5, True, overlap, 1), torch.full((1, 12, 4), 1))
    assert len(table_of(batch)) == 1


@pytest.mark.parametrize("name", FORMS)
def test_a_dropped_mask_takes_nothing(name: Form) -> None:
    """The second is dropped for the first; the third lies on the second alone, and is painted whole."""
    values = plates((slice(0, 4), ALL), (slice(1, 6), ALL), (slice(4, 6), ALL))
    batch = merge(name, values, [0.9, 0.8, 0.7], HALF, SKY)
    assert [row[2] for row in table_of(batch)] == [32, 16, 16]
    assert batch.ids[0, 4, 0] == 2


@pytest.mark.parametrize("name", FORMS)
def test_a_union_drops_what_no_single_mask_does(name: Form) -> None:
    values = plates((slice(0, 2), ALL), (slice(2, 4), ALL), (slice(0, 6), ALL))
    batch = merge(name, values, [0.9, 0.8, 0.7], HALF, SKY)
    assert [row[2] for row in table_of(batch)] == [16, 16, 32]


@pytest.mark.parametrize("name", FORMS)
def test_the_threshold_itself_belongs_to_a_mask_or_not(name: Form) -> None:
    values = torch.full((1, 1, 8, 8), 0.5)
    assert merge(name, values, [0.9], HALF, SKY).areas[0, 0] == 64
    assert table_of(merge(name, values, [0.9], HALF._replace(inclusive=False), SKY)) == [(3, 1.0, 64)]


@pytest.mark.parametrize("name", FORMS)
def test_a_long_chain_of_decisions(name: Form) -> None:
    """Each mask overlaps the next by three quarters: every second one is painted."""
    count = 40
    rows = [(slice(i, i + 4), ALL) for i in range(count)]
    values = plates(*rows, size=(count + 4, 2))
    semantics = torch.full((1, count + 4, 2), 1)
    batch = merge(name, values, [1 - i / 100 for i in range(count)], HALF, semantics)
    # of mask 1 three rows are taken, of mask 2 two
    assert [row[1] for row in table_of(batch)] == [round(1 - i / 100, 5) for i in range(0, count, 2)]


@pytest.mark.parametrize("name", FORMS)
def test_equal_scores_keep_their_order(name: Form) -> None:
    values = plates((slice(0, 5), ALL), (slice(3, 8), ALL))
    assert merge(name, values, [0.5, 0.5], HALF, SKY).areas[0, :2].tolist() == [40, 24]


@pytest.mark.parametrize("name", FORMS)
def test_batches_give_what_single_pictures_give(name: Form) -> None:
    generator = torch.Generator().manual_seed(3)
    values = torch.rand(3, 9, 10, 14, generator=generator).cumsum(3) / 8
    scores = torch.rand(3, 9, generator=generator)
    kept = torch.rand(3, 9, generator=generator) < torch.tensor([0.9, 0.0, 0.5])[:, None]
    categories = torch.randint(1, 3, (3, 9), generator=generator)
    sizes = Sizes((40, 56), [(40, 56), (33, 50), (17, 56)], [(40, 56), (33, 50), (61, 30)])
    height, width = 61, 56
    semantics = torch.randint(-1, 5, (3, height, width), generator=generator, dtype=torch.int32)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    outside = torch.stack([(rows >= h) | (columns >= w) for h, w in sizes.output])
    semantics[outside] = -1
    batch = merge_by_priority(
        SoftMasks(values, scores, categories, kept), semantics, sizes, THINGS, HALF, name, rows=30
    )
    assert batch.categories.shape == (3, 30)
    assert (batch.ids[outside] == 0).all()
    for i, (h, w) in enumerate(sizes.output):
        own = SoftMasks(values[i, None], scores[i, None], categories[i, None], kept[i, None])
        single = Sizes(sizes.padded, [sizes.valid[i]], [sizes.output[i]])
        one = merge_by_priority(own, semantics[i, None, :h, :w], single, THINGS, HALF, name)
        assert torch.equal(batch.ids[i, :h, :w], one.ids[0])
        assert table_of(batch, i) == table_of(one)
    assert len(table_of(batch, 0)) > 3


def test_what_is_not_remembered_is_worked_out_anew() -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.rand(2, 12, 24, 30, generator=generator)
    masks = SoftMasks(
        values,
        torch.rand(2, 12, generator=generator),
        torch.ones(2, 12, dtype=torch.int64),
        torch.ones(2, 12) > 0,
    )
    sizes = Sizes((96, 120), [(96, 120), (90, 100)], [(96, 120), (90, 100)])
    semantics = torch.zeros(2, 96, 120, dtype=torch.int32)
    rule = PriorityRule(0.7, True, 0.5, 1)
    expected = merge_by_priority(masks, semantics, sizes, THINGS, rule, "pruned")
    assert (expected.categories == 1).sum() > 4
    for pixels, pairs, floats in [(0, 1 << 22, 1 << 18), (6000, 1 << 22, 5000), (1 << 24, 3000, 1 << 14)]:
        room = Room(chunk=floats, masks=floats, pixels=pixels, pairs=pairs)
        with (
            mock.patch.object(priority, "room_for", return_value=room),
            mock.patch.object(pruned, "_look", wraps=pruned._look) as look,
        ):
            batch = merge_by_priority(masks, semantics, sizes, THINGS, rule, "pruned")
        works = {id(call.args[0]) for call in look.call_args_list}
        assert look.call_count > len(works)
        for got, wanted in zip(batch[:4], expected[:4], strict=True):
            assert torch.equal(got, wanted)


def test_inner_parts_of_masks_are_never_enlarged() -> None:
    """One large mask: all the work lies along its edge."""
    values = plates((slice(0, 64), slice(0, 32)), size=(64, 64))
    with mock.patch.object(pruned, "upsample", wraps=upsample) as enlarged_tiles:
        masks = SoftMasks(values, torch.ones(1, 1), torch.ones(1, 1, dtype=torch.int64), torch.ones(1, 1) > 0)
        sizes = Sizes((256, 256), [(256, 256)], [(256, 256)])
        batch = merge_by_priority(masks, torch.full((1, 256, 256), -1), sizes, THINGS, HALF, "pruned")
    assert batch.areas[0, 0] == 256 * 128
    # 8 x 8 tiles, two columns of which touch the edge
    assert sum(call.args[1].numel() for call in enlarged_tiles.call_args_list) == 2 * 8

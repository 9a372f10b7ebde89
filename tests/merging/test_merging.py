"""merge_by_argmax against a literal transcription of the published procedure, in both of its forms."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pansight.merging import Candidates, Form, merge_by_argmax, tiling, top_k_kept
from pansight.models.preprocess import Sizes
from pansight.panoptic import PanopticBatch

THINGS = torch.tensor([True, True, False, False, False])
FORMS: list[Form] = ["pruned", "fixed"]


class Literal(NamedTuple):
    ids: Tensor
    rows: list[tuple[int, float, int]]
    """category, best score, area of each segment"""
    margin: float
    """how far the nearest decision was from falling the other way"""


def literal_merge(
    logits: Tensor,
    scores: Tensor,
    categories: Tensor,
    padded: tuple[int, int],
    valid: tuple[int, int],
    output: tuple[int, int],
    keep_share: float,
) -> Literal:
    """The procedure step by step for kept masks [k h w], with loops and every mask at full size."""
    logits = F.interpolate(logits[None], size=padded, mode="bilinear", align_corners=False)
    logits = logits[:, :, : valid[0], : valid[1]]
    logits = F.interpolate(logits, size=output, mode="bilinear", align_corners=False)[0]
    probability = logits.sigmoid()
    worth = scores[:, None, None] * probability
    winner = worth.argmax(0)
    ids = torch.zeros(output, dtype=torch.int32)
    rows: list[tuple[int, float, int]] = []
    stuff: dict[int, int] = {}
    margin = float(logits.abs().min())
    if len(scores) > 1:
        best = worth.topk(2, dim=0).values
        margin = min(margin, float((best[0] - best[1]).min()))
    for query in range(len(scores)):
        category = int(categories[query])
        won = int((winner == query).sum())
        whole = int((probability[query] >= 0.5).sum())
        final = (winner == query) & (probability[query] >= 0.5)
        if won == 0 or whole == 0 or not final.any():
            continue
        if won / whole < keep_share:
            continue
        area, score = int(final.sum()), float(scores[query])
        if not THINGS[category] and category in stuff:
            id = stuff[category]
            rows[id - 1] = (category, max(rows[id - 1][1], score), rows[id - 1][2] + area)
        else:
            rows.append((category, score, area))
            id = len(rows)
            if not THINGS[category]:
                stuff[category] = id
        ids[final] = id
    return Literal(ids, rows, margin)


def merge_one(
    form: Form,
    logits: Tensor,
    scores: Tensor,
    categories: Tensor,
    sizes: Sizes,
    keep_share: float,
    rows: int | None = None,
) -> PanopticBatch:
    kept = torch.ones(1, len(scores), dtype=torch.bool)
    candidates = Candidates(logits[None], scores[None], categories[None], kept)
    return merge_by_argmax(candidates, sizes, THINGS, keep_share, rows or len(scores), form)


def table_of(batch: PanopticBatch, picture: int = 0) -> list[tuple[int, float, int]]:
    """Filled rows: category, score, area. Empty rows must be empty and last."""
    filled = int((batch.categories[picture] >= 0).sum())
    assert (batch.categories[picture, filled:] == -1).all()
    assert (batch.scores[picture, filled:] == 0).all()
    assert (batch.areas[picture, filled:] == 0).all()
    columns = (batch.categories, batch.scores, batch.areas)
    return list(zip(*(column[picture, :filled].tolist() for column in columns), strict=True))


def rounded(batch: PanopticBatch) -> list[tuple[int, float, int]]:
    """The table with scores to four digits."""
    return [(category, round(score, 4), area) for category, score, area in table_of(batch)]


def plates(*areas: tuple[slice, slice, float], size: tuple[int, int] = (8, 8)) -> Tensor:
    """Masks of -6 but for one rectangle each."""
    masks = torch.full((len(areas), *size), -6.0)
    for mask, (rows, columns, value) in zip(masks, areas, strict=True):
        mask[rows, columns] = value
    return masks


def same_size(height: int, width: int) -> Sizes:
    return Sizes((height, width), [(height, width)], [(height, width)])


ALL = slice(None)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Sizes, float]:
    """Random masks of any smoothness, and sizes that enlarge, crop and shrink."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    count = draw(st.integers(1, 7))
    height, width = draw(st.integers(2, 13)), draw(st.integers(2, 13))
    coarse = draw(st.sampled_from([1, 2, 5]))
    # patches of equal value: tiles with one clear mask; fine noise: tiles where all masks are needed
    logits = torch.randn(count, -(-height // coarse), -(-width // coarse), generator=generator)
    logits = logits.repeat_interleave(coarse, 1).repeat_interleave(coarse, 2)[:, :height, :width]
    logits = draw(st.sampled_from([0.5, 4.0, 30.0])) * logits + draw(st.sampled_from([-3.0, 0.0, 2.0]))
    logits = logits + 0.1 * torch.randn(count, height, width, generator=generator)
    ratio = draw(st.sampled_from([1, 2, 4]))
    padded = (height * ratio, width * ratio)
    valid = (draw(st.integers(1, padded[0])), draw(st.integers(1, padded[1])))
    output = valid if draw(st.booleans()) else (draw(st.integers(1, 61)), draw(st.integers(1, 61)))
    scores = 0.2 + 0.8 * torch.rand(count, generator=generator)
    categories = torch.randint(0, len(THINGS), (count,), generator=generator)
    overlap = draw(st.sampled_from([0.0, 0.2, 0.5, 0.8]))
    return logits, scores, categories, Sizes(padded, [valid], [output]), overlap


@pytest.mark.parametrize("which", FORMS)
@settings(max_examples=60, deadline=None)
@given(scene=scenes())
def test_equals_the_literal_procedure(
    which: Form, scene: tuple[Tensor, Tensor, Tensor, Sizes, float]
) -> None:
    logits, scores, categories, sizes, overlap = scene
    expected = literal_merge(
        logits, scores, categories, sizes.padded, sizes.valid[0], sizes.output[0], overlap
    )
    # decisions within rounding may fall either way
    assume(expected.margin > 1e-5 * float(logits.abs().max()))
    batch = merge_one(which, logits, scores, categories, sizes, overlap)
    assert torch.equal(batch.ids[0], expected.ids)
    got = table_of(batch)
    assert [row[0] for row in got] == [row[0] for row in expected.rows]
    assert [row[1] for row in got] == pytest.approx([row[1] for row in expected.rows], abs=1e-7)
    assert [row[2] for row in got] == [row[2] for row in expected.rows]


@pytest.mark.parametrize("which", FORMS)
def test_many_masks(which: Form) -> None:
    """More masks than small ranks can number, all of them needed everywhere."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(140, 10, 14, generator=generator)
    scores = 0.9 + 0.1 * torch.rand(140, generator=generator)
    categories = torch.randint(0, 2, (140,), generator=generator)
    sizes = Sizes((40, 56), [(37, 50)], [(37, 50)])
    expected = literal_merge(logits, scores, categories, (40, 56), (37, 50), (37, 50), 0.0)
    assert expected.margin > 1e-7
    batch = merge_one(which, logits, scores, categories, sizes, 0.0, rows=150)
    assert torch.equal(batch.ids[0], expected.ids)
    assert len(expected.rows) > 50
    assert [row[2] for row in table_of(batch)] == [row[2] for row in expected.rows]
    assert batch.categories.shape == (1, 150)


@pytest.mark.parametrize("which", FORMS)
def test_pictures_of_different_size_share_a_batch(which: Form) -> None:
    generator = torch.Generator().manual_seed(5)
    logits = 5 * torch.randn(3, 6, 12, 16, generator=generator)
    scores = 0.3 + 0.7 * torch.rand(3, 6, generator=generator)
    categories = torch.randint(0, 5, (3, 6), generator=generator)
    kept = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]).bool()
    valid, output = [(48, 60), (33, 64), (20, 20)], [(48, 60), (61, 31), (7, 80)]
    together = merge_by_argmax(
        Candidates(logits, scores, categories, kept), Sizes((48, 64), valid, output), THINGS, 0.2, 6, which
    )
    assert together.ids.shape == (3, 61, 80)
    for picture, (height, width) in enumerate(output):
        own = kept[picture]
        ids = together.ids[picture]
        assert ids[height:].count_nonzero() == 0
        assert ids[:, width:].count_nonzero() == 0
        if not own.any():
            assert ids.count_nonzero() == 0
            assert table_of(together, picture) == []
            continue
        alone = merge_one(
            which,
            logits[picture, own],
            scores[picture, own],
            categories[picture, own],
            Sizes((48, 64), [valid[picture]], [output[picture]]),
            0.2,
        )
        assert torch.equal(ids[:height, :width], alone.ids[0])
        assert table_of(together, picture) == table_of(alone)
        assert table_of(alone)


@pytest.mark.parametrize("which", FORMS)
def test_stuff_of_one_category_joins_and_things_do_not(which: Form) -> None:
    left, middle, right = (ALL, slice(0, 2), 6.0), (ALL, slice(2, 5), 6.0), (ALL, slice(5, 8), 6.0)
    scores = torch.tensor([0.7, 0.8, 0.9])
    stuff = merge_one(
        which, plates(left, middle, right), scores, torch.tensor([3, 0, 3]), same_size(8, 8), 0.5
    )
    things = merge_one(
        which, plates(left, middle, right), scores, torch.tensor([1, 0, 1]), same_size(8, 8), 0.5
    )
    assert stuff.ids[0, 0].tolist() == [1, 1, 2, 2, 2, 1, 1, 1]
    assert rounded(stuff) == [(3, 0.9, 40), (0, 0.8, 24)]
    assert things.ids[0, 0].tolist() == [1, 1, 2, 2, 2, 3, 3, 3]
    assert [row[0] for row in table_of(things)] == [1, 0, 1]


@pytest.mark.parametrize("which", FORMS)
def test_dropped_stuff_opens_no_segment(which: Form) -> None:
    """Each stuff mask passes the overlap test by itself; the first that passes opens the id."""
    weak = plates((ALL, slice(0, 8), 3.0), (ALL, slice(0, 6), 6.0), (ALL, slice(6, 8), 6.0))
    batch = merge_one(
        which, weak, torch.tensor([0.5, 0.9, 0.9]), torch.tensor([3, 0, 3]), same_size(8, 8), 0.5
    )
    assert batch.ids[0, 0].tolist() == [1, 1, 1, 1, 1, 1, 2, 2]
    assert rounded(batch) == [(0, 0.9, 48), (3, 0.9, 16)]


@pytest.mark.parametrize("which", FORMS)
@pytest.mark.parametrize(("overlap", "segments"), [(0.0, 2), (0.5, 2), (0.501, 1), (1.0, 1)])
def test_overlap_reached_exactly_is_enough(which: Form, overlap: float, segments: int) -> None:
    """The first mask wins 32 of its 64 pixels: a ratio of one half."""
    masks = plates((ALL, ALL, 3.0), (ALL, slice(4, 8), 6.0))
    batch = merge_one(which, masks, torch.tensor([0.8, 0.9]), torch.tensor([0, 0]), same_size(8, 8), overlap)
    assert len(table_of(batch)) == segments
    assert (batch.ids[0, :, :4] == (1 if segments == 2 else 0)).all()
    assert (batch.ids[0, :, 4:] == segments).all()


@pytest.mark.parametrize("which", FORMS)
def test_pixels_won_below_one_half_count_for_the_ratio_but_stay_void(which: Form) -> None:
    """A mask that is 8 pixels large and wins all 64 has a ratio of 8."""
    masks = plates((slice(0, 1), ALL, 6.0))
    kept = merge_one(which, masks, torch.tensor([0.9]), torch.tensor([0]), same_size(8, 8), 8.0)
    dropped = merge_one(which, masks, torch.tensor([0.9]), torch.tensor([0]), same_size(8, 8), 8.01)
    assert kept.ids[0].sum(1).tolist() == [8, 0, 0, 0, 0, 0, 0, 0]
    assert rounded(kept) == [(0, 0.9, 8)]
    assert dropped.ids.count_nonzero() == 0


@pytest.mark.parametrize("which", FORMS)
def test_masks_that_never_reach_one_half_or_never_win_are_no_segments(which: Form) -> None:
    masks = torch.stack((torch.full((8, 8), -0.5), torch.full((8, 8), 3.0), torch.full((8, 8), 2.0)))
    batch = merge_one(
        which, masks, torch.tensor([1.0, 0.9, 0.1]), torch.tensor([0, 1, 2]), same_size(8, 8), 0.0
    )
    void = merge_one(which, masks[:1], torch.tensor([1.0]), torch.tensor([0]), same_size(8, 8), 0.0)
    assert rounded(batch) == [(1, 0.9, 64)]
    assert void.ids.count_nonzero() == 0
    assert table_of(void) == []


@pytest.mark.parametrize("which", FORMS)
def test_nothing_kept_gives_void(which: Form) -> None:
    candidates = Candidates(
        torch.full((2, 3, 4, 4), 9.0),
        torch.ones(2, 3),
        torch.zeros(2, 3, dtype=torch.int64),
        torch.zeros(2, 3).bool(),
    )
    sizes = Sizes((16, 16), [(16, 16), (9, 12)], [(5, 5), (5, 5)])
    batch = merge_by_argmax(candidates, sizes, THINGS, 0.0, 3, which)
    assert batch.ids.shape == (2, 5, 5)
    assert batch.ids.count_nonzero() == 0
    assert (batch.categories == -1).all()


@pytest.mark.parametrize("which", FORMS)
def test_masks_that_are_not_kept_win_nothing(which: Form) -> None:
    masks, kept = plates((ALL, ALL, 9.0), (ALL, slice(0, 4), 3.0))[None], torch.tensor([[False, True]])
    candidates = Candidates(masks, torch.tensor([[1.0, 0.2]]), torch.tensor([[0, 1]]), kept)
    batch = merge_by_argmax(candidates, same_size(8, 8), THINGS, 0.0, 2, which)
    assert rounded(batch) == [(1, 0.2, 32)]


@pytest.mark.parametrize("which", FORMS)
def test_of_equal_masks_the_first_wins(which: Form) -> None:
    masks = torch.full((3, 8, 8), 50.0)  # probability 1 in float32
    masks[:, :, 4:] = -200.0  # and 0
    batch = merge_one(
        which, masks, torch.tensor([0.5, 0.9, 0.9]), torch.tensor([0, 1, 0]), same_size(8, 8), 0.0
    )
    assert rounded(batch) == [(1, 0.9, 32)]


@pytest.mark.parametrize("which", FORMS)
def test_large_logits_do_not_lose_pixels(which: Form) -> None:
    """The room for rounding grows with the logits."""
    generator = torch.Generator().manual_seed(11)
    logits = 1e4 * torch.randn(5, 9, 9, generator=generator)
    scores = torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9])
    categories = torch.tensor([0, 1, 2, 3, 4])
    expected = literal_merge(logits, scores, categories, (36, 36), (36, 36), (36, 36), 0.0)
    batch = merge_one(which, logits, scores, categories, Sizes((36, 36), [(36, 36)], [(36, 36)]), 0.0)
    assert torch.equal(batch.ids[0], expected.ids)


@pytest.mark.parametrize("which", FORMS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_do_not_crash(which: Form, value: float) -> None:
    masks = plates((ALL, ALL, 3.0), (ALL, slice(0, 4), 6.0), (ALL, slice(4, 8), 5.0))
    masks[1, 2, 2] = value
    batch = merge_one(
        which, masks, torch.tensor([0.5, 0.9, 0.8]), torch.tensor([0, 1, 2]), same_size(8, 8), 0.0
    )
    assert 0 <= int(batch.ids.min()) <= int(batch.ids.max()) <= 3


@pytest.mark.parametrize("which", FORMS)
def test_table_and_map_agree(which: Form) -> None:
    generator = torch.Generator().manual_seed(13)
    logits = 3 * torch.randn(1, 30, 16, 16, generator=generator)
    scores = torch.rand(1, 30, generator=generator)
    categories = torch.randint(0, 5, (1, 30), generator=generator)
    kept = scores > 0.3
    batch = merge_by_argmax(
        Candidates(logits, scores, categories, kept),
        Sizes((64, 64), [(64, 64)], [(50, 40)]),
        THINGS,
        0.05,
        30,
        which,
    )
    table = table_of(batch)
    areas = torch.bincount(batch.ids.flatten(), minlength=len(table) + 1)
    assert len(areas) == len(table) + 1
    assert areas[1:].tolist() == [row[2] for row in table]
    assert all(row[1] > 0.3 and row[2] > 0 for row in table)
    stuff = [row[0] for row in table if not THINGS[row[0]]]
    assert len(stuff) == len(set(stuff)) > 1
    # ids rise in query order: the best score of a thing names its query
    things = [scores[0].tolist().index(row[1]) for row in table if THINGS[row[0]]]
    assert things == sorted(things)


def test_half_precision_masks_are_decided_in_single_precision() -> None:
    generator = torch.Generator().manual_seed(17)
    logits = (4 * torch.randn(4, 8, 8, generator=generator)).bfloat16()
    scores, categories = torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([0, 1, 2, 3])
    sizes = Sizes((32, 32), [(32, 32)], [(32, 32)])
    for which in FORMS:
        low = merge_one(which, logits, scores, categories, sizes, 0.1)
        single = merge_one(which, logits.float(), scores, categories, sizes, 0.1)
        assert torch.equal(low.ids, single.ids)


@pytest.mark.parametrize("which", FORMS)
def test_masks_with_gradients_after_a_run_in_inference_mode(which: Form) -> None:
    """What was cached in inference mode must not reach autograd."""
    masks = plates((ALL, ALL, 3.0), (ALL, slice(0, 5), 6.0), size=(8, 10))
    sizes = Sizes((32, 40), [(31, 37)], [(31, 37)])
    tiling.tiling.cache_clear()
    with torch.inference_mode():
        first = merge_one(which, masks, torch.tensor([0.8, 0.9]), torch.tensor([0, 1]), sizes, 0.1)
    second = merge_one(
        which, masks.requires_grad_(), torch.tensor([0.8, 0.9]), torch.tensor([0, 1]), sizes, 0.1
    )
    assert torch.equal(first.ids, second.ids)
    assert not second.scores.requires_grad


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4))
def test_top_k_kept_lists_kept_queries_in_order(rows: list[list[bool]]) -> None:
    kept = torch.tensor(rows)
    order = top_k_kept(kept, "pruned")
    most = max(1, max(sum(row) for row in rows))
    assert order.shape == (len(rows), most)
    for row, numbers in zip(rows, order.tolist(), strict=True):
        wanted = [query for query, keep in enumerate(row) if keep]
        assert numbers[: len(wanted)] == wanted
        assert len(set(numbers)) == most
    assert torch.equal(top_k_kept(kept, "fixed")[:, :most], order)
    assert top_k_kept(kept, "fixed").shape == kept.shape
    assert torch.equal(top_k_kept(kept, "fixed", 1), order[:, :1])

"""Who wins pixels: its bounds hold, tiles of any size agree, and nothing clear is worked out."""

from unittest import mock

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pansight.merging import Candidates, Form, argmax, merge_by_argmax, tiling
from pansight.merging import argmax_pruned as pruned
from pansight.merging.room import Room
from pansight.merging.tiles import grid_of, upsample
from pansight.models.preprocess import Sizes
from pansight.panoptic import PanopticBatch

THINGS = torch.tensor([True, True, False, False, False])


def merge(
    logits: Tensor,
    scores: Tensor,
    categories: Tensor,
    sizes: Sizes,
    keep_share: float,
    form: Form = "pruned",
) -> PanopticBatch:
    kept = torch.ones(1, len(scores), dtype=torch.bool)
    candidates = Candidates(logits[None], scores[None], categories[None], kept)
    return merge_by_argmax(candidates, sizes, THINGS, keep_share, len(scores), form)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Tensor, Tensor, Sizes]:
    """Masks, scores, and sizes that enlarge, crop and shrink; patches of equal value make clear tiles."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    count, side, coarse = draw(st.integers(1, 5)), draw(st.integers(2, 14)), draw(st.sampled_from([1, 2, 5]))
    logits = torch.randn(count, -(-side // coarse), -(-side // coarse), generator=generator)
    logits = logits.repeat_interleave(coarse, 1).repeat_interleave(coarse, 2)[:, :side, :side]
    logits = draw(st.sampled_from([0.5, 4.0, 30.0])) * logits + draw(st.sampled_from([-3.0, 0.0, 2.0]))
    padded = side * draw(st.sampled_from([1, 2, 4]))
    valid = (draw(st.integers(1, padded)), draw(st.integers(1, padded)))
    output = valid if draw(st.booleans()) else (draw(st.integers(1, 61)), draw(st.integers(1, 61)))
    scores = 0.2 + 0.8 * torch.rand(count, generator=generator)
    return logits, scores, Sizes((padded, padded), [valid], [output])


def test_any_tiles_give_the_same_answer() -> None:
    generator = torch.Generator().manual_seed(7)
    logits = 4 * torch.randn(5, 17, 23, generator=generator).cumsum(1) / 3
    scores = 0.5 + 0.5 * torch.rand(5, generator=generator)
    categories = torch.tensor([0, 1, 2, 2, 3])
    sizes = Sizes((68, 92), [(61, 90)], [(97, 71)])
    expected = merge(logits, scores, categories, sizes, 0.3)
    assert expected.ids.max() >= 3
    for cells, longest, chunk in [
        (1, 4, 1 << 18),
        (2, 200, 7),
        (3, 9, 1000),
        (8, 128, 1 << 18),
        (50, 500, 1),
    ]:
        tiling.tiling.cache_clear()
        with (
            mock.patch.object(tiling, "CELLS", cells),
            mock.patch.object(tiling, "LONGEST", longest),
            mock.patch.object(argmax, "room_for", lambda *_, chunk=chunk: Room(chunk=chunk, masks=chunk)),
        ):
            batch = merge(logits, scores, categories, sizes, 0.3)
        assert torch.equal(batch.ids, expected.ids), (cells, longest, chunk)
    tiling.tiling.cache_clear()
    assert torch.equal(merge(logits, scores, categories, sizes, 0.3, "fixed").ids, expected.ids)


def test_clear_tiles_are_never_enlarged() -> None:
    """Two halves of a large map: all the work lies along the line where they meet."""
    masks = torch.full((2, 64, 64), -6.0)
    masks[0, :, :32] = masks[1, :, 32:] = 6.0
    sizes = Sizes((256, 256), [(256, 256)], [(256, 256)])
    with mock.patch.object(pruned, "upsample", wraps=upsample) as looks:
        batch = merge(masks, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]), sizes, 0.5)
    # 8 x 8 tiles, two columns of which touch the line, two masks each
    assert sum(call.args[1].numel() for call in looks.call_args_list) == 2 * 8 * 2
    assert batch.areas[0].tolist() == [256 * 128, 256 * 128]


@settings(max_examples=60, deadline=None)
@given(scene=scenes())
def test_bounds_hold_at_every_pixel(scene: tuple[Tensor, Tensor, Sizes]) -> None:
    """What the plan leaves out can neither win nor lie on both sides of one half; its floor is a floor."""
    logits, scores, (padded, (valid,), (output,)) = scene
    grid = grid_of((logits.shape[1], logits.shape[2]), Sizes(padded, [valid], [output]), 0)
    plan = pruned._plan(logits, scores, torch.ones(len(scores), dtype=torch.bool), grid, Room())
    floor = pruned._floor(logits, scores, grid, 2)
    large = F.interpolate(logits[None], size=padded, mode="bilinear", align_corners=False)
    large = large[:, :, : valid[0], : valid[1]]
    large = F.interpolate(large, size=output, mode="bilinear", align_corners=False)[0]
    worth = scores[:, None, None] * large.sigmoid()
    height, width = grid.rows.tile, grid.columns.tile
    for tile in range(len(floor)):
        row, column = divmod(tile, grid.columns.tiles)
        own = (
            slice(None),
            slice(row * height, (row + 1) * height),
            slice(column * width, (column + 1) * width),
        )
        best = worth[own].amax(0)
        assert float(best.min()) >= float(floor[tile]) * (1 - 1e-4 * float(logits.abs().max()))
        winners = worth[own].argmax(0).unique()
        assert plan.needed[winners, tile].all()
        above = (large[own] >= 0).flatten(1)
        split = above.any(1) & ~above.all(1)
        assert (plan.mixed[:, tile] >= split).all()
        assert (plan.needed[:, tile] >= split).all()
        assert (above.all(1) >= plan.solid[:, tile]).all()
        assert not plan.decided[tile] or (len(winners) == 1 and not split[winners].any())


@given(st.integers(1, 5000), st.integers(1, 128))
def test_tiles_waste_little(output: int, wanted: int) -> None:
    wanted = min(wanted, output)
    length = tiling.tile_length(output, wanted)
    assert 1 <= length <= output
    assert wanted * 3 // 4 <= length <= max(1, wanted * 3 // 2)
    # never worse than the wanted length itself
    assert -output % length <= -output % wanted

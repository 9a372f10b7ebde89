"""Reading at points and choosing uncertain ones."""

import pytest
import torch

from pansight.nn.points import sample_points, sample_shared_points, uncertain_points


def test_points_are_x_then_y_in_0_to_1_of_the_whole_map() -> None:
    ramp = torch.arange(8.0)[None, None].expand(1, 4, 8).contiguous()  # grows with x
    points = torch.tensor([[[0.5 / 8, 0.5], [1.5 / 8, 0.1], [0.5, 0.9]]])
    # 0.1 of four rows is within the first row's upper half: the row above it is outside and 0
    expected = torch.tensor([[0.0, 0.9, 3.5 * 0.9]])
    torch.testing.assert_close(sample_points(ramp, points), expected)
    steep = torch.arange(4.0)[None, :, None].expand(1, 4, 8).contiguous()  # grows with y
    torch.testing.assert_close(sample_points(steep, points), torch.tensor([[1.5, 0.0, 3 * 0.9]]))


def test_outside_is_zero() -> None:
    ones = torch.ones(1, 4, 4)
    points = torch.tensor([[[-1.0, 0.5], [2.0, 0.5], [0.0, 0.5], [0.0, 0.0]]])
    torch.testing.assert_close(sample_points(ones, points), torch.tensor([[0.0, 0.0, 0.5, 0.25]]))


def test_shared_points_are_the_same_points_for_every_map() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(5, 6, 7, generator=generator)
    points = torch.rand(40, 2, generator=generator)
    torch.testing.assert_close(
        sample_shared_points(maps, points), sample_points(maps, points.expand(5, -1, -1).contiguous())
    )


def test_uncertain_points_follow_the_published_order_of_draws() -> None:
    """Candidates (n, 3 p), then the uniform rest (n, p / 4); the best by |logit| come first."""
    logits = torch.randn(3, 6, 9, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(5)
    chosen = uncertain_points(logits, 20, 3.0, 0.75)
    torch.manual_seed(5)
    candidates, rest = torch.rand(3, 60, 2), torch.rand(3, 5, 2)
    assert chosen.shape == (3, 20, 2)
    for mask in range(3):
        values = sample_points(logits[mask : mask + 1], candidates[mask : mask + 1])[0].abs()
        best = values.argsort()[:15]
        assert {tuple(p) for p in chosen[mask, :15].tolist()} == {
            tuple(p) for p in candidates[mask, best].tolist()
        }
        assert torch.equal(chosen[mask, 15:], rest[mask])


def test_uncertain_points_lie_where_the_mask_ends() -> None:
    logits = torch.full((1, 32, 32), 10.0)
    logits[:, :, 16:] = -10.0
    torch.manual_seed(0)
    chosen = uncertain_points(logits, 64, 3.0, 0.75)
    near = (chosen[0, :48, 0] - 0.5).abs() < 1 / 32
    assert near.float().mean() > 0.1
    everything = uncertain_points(logits, 64, 3.0, 0.0)
    assert (everything[0, :, 0] - 0.5).abs().max() > 0.3


@pytest.mark.parametrize("importance", [0.0, 0.75, 1.0])
def test_no_masks_no_points(importance: float) -> None:
    assert uncertain_points(torch.zeros(0, 4, 4), 8, 3.0, importance).shape == (0, 8, 2)

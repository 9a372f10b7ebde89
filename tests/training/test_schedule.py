"""Learning rates at the steps where papers say what they are."""

from itertools import pairwise

import pytest

from pansight.training.config import Schedule
from pansight.training.recipes import make_config, read_recipe, with_options
from pansight.training.schedule import rate_factor


def test_multistep_of_coco() -> None:
    schedule = Schedule(kind="multistep", milestones=(327_778, 355_092), warmup_steps=10, warmup_factor=1.0)
    steps = {0: 1.0, 9: 1.0, 327_777: 1.0, 327_778: 0.1, 355_091: 0.1, 355_092: 0.01, 368_749: 0.01}
    assert {step: rate_factor(schedule, step, 368_750) for step in steps} == pytest.approx(steps)


def test_poly_falls_to_nothing() -> None:
    schedule = Schedule(kind="poly", power=0.9)
    assert rate_factor(schedule, 0, 1000) == 1
    assert rate_factor(schedule, 500, 1000) == pytest.approx(0.5**0.9)
    assert rate_factor(schedule, 1000, 1000) == 0


def test_panoptic_fcns_rates() -> None:
    """The poly fall counts during the warm-up, too: 0.01 * warm(t) * (1 - t / 90000)^0.9."""
    schedule = Schedule(kind="poly", power=0.9, warmup_steps=1000, warmup_factor=0.001)
    rates = {0: 1.0e-5, 500: 4.9800e-3, 999: 9.8902e-3, 1000: 9.8999e-3, 90_000: 0.0}
    found = {step: 0.01 * rate_factor(schedule, step, 90_000) for step in rates}
    assert found == pytest.approx(rates, rel=1e-5)


@pytest.mark.parametrize(
    ("recipe", "factors"),
    [
        ("dense-r50-coco", {0: 1 / 3, 250: 2 / 3, 499: 0.998667, 500: 1.0, 119_999: 1.0, 120_000: 0.1}),
        ("dense-r50-cityscapes", {0: 1 / 3, 250: 2 / 3, 499: 0.998667, 500: 1.0, 36_000: 0.1}),
        ("epsnet-r101-coco", {0: 0.1, 250: 0.55, 499: 0.9982, 500: 1.0}),
        ("yoso-r50-coco", {0: 1.0, 5: 1.0, 9: 1.0, 10: 1.0, 327_778: 0.1}),
        ("yoso-r50-cityscapes", {0: 1.0, 90_000: 0.535887, 180_000: 0.0}),
    ],
)
def test_other_methods_warm_up(recipe: str, factors: dict[int, float]) -> None:
    config = make_config(with_options(read_recipe(recipe), ["data.folder=there"]))
    found = {step: rate_factor(config.optimizer.schedule, step, config.steps) for step in factors}
    assert found == pytest.approx(factors, rel=1e-6)


@pytest.mark.parametrize("kind", ["constant", "multistep", "cosine"])
def test_warm_up_rises_to_the_base_rate(kind: str) -> None:
    schedule = Schedule(kind=kind, warmup_steps=10, warmup_factor=0.2, milestones=(90,))  # type: ignore[arg-type]
    factors = [rate_factor(schedule, step, 100) for step in range(100)]
    assert factors[:11] == pytest.approx([0.2 + 0.08 * step for step in range(11)])
    assert all(a >= b for a, b in pairwise(factors[10:]))


def test_the_first_step_of_onecycle_is_not_lost() -> None:
    schedule = Schedule(kind="onecycle", warmup_steps=4)
    factors = [rate_factor(schedule, step, 100) for step in range(5)]
    assert factors == pytest.approx([0.146447, 0.5, 0.853553, 1.0, 1.0], rel=1e-5)


@pytest.mark.parametrize("kind", ["cosine", "onecycle"])
def test_cosine_ends_at_the_final_factor(kind: str) -> None:
    schedule = Schedule(kind=kind, warmup_steps=20, final_factor=0.1)  # type: ignore[arg-type]
    assert rate_factor(schedule, 20, 120) == pytest.approx(1)
    assert rate_factor(schedule, 70, 120) == pytest.approx(0.55)
    assert rate_factor(schedule, 120, 120) == pytest.approx(0.1)
    assert rate_factor(schedule, 500, 120) == pytest.approx(0.1)

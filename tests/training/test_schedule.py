"""Learning rates at the steps where papers say what they are."""

from itertools import pairwise

import pytest

from pansight.training.config import Schedule
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


@pytest.mark.parametrize("kind", ["constant", "multistep", "cosine", "onecycle", "poly"])
def test_warm_up_rises_to_the_base_rate(kind: str) -> None:
    schedule = Schedule(kind=kind, warmup_steps=10, milestones=(90,))  # type: ignore[arg-type]
    factors = [rate_factor(schedule, step, 100) for step in range(100)]
    assert 0 < factors[0] < 0.2, "the first step is not lost"
    assert all(a < b for a, b in pairwise(factors[:10]))
    assert factors[9] == pytest.approx(1)
    assert all(a >= b for a, b in pairwise(factors[10:]))


@pytest.mark.parametrize("kind", ["cosine", "onecycle"])
def test_cosine_ends_at_the_final_factor(kind: str) -> None:
    schedule = Schedule(kind=kind, warmup_steps=20, final_factor=0.1)  # type: ignore[arg-type]
    assert rate_factor(schedule, 20, 120) == pytest.approx(1)
    assert rate_factor(schedule, 70, 120) == pytest.approx(0.55)
    assert rate_factor(schedule, 120, 120) == pytest.approx(0.1)
    assert rate_factor(schedule, 500, 120) == pytest.approx(0.1)

"""Answers of ours beside those of a golden file."""

from typing import Any

from reader import Case
from torch import Tensor


def check(case: Case, answers: dict[str, Tensor], record: Any, tolerance: float) -> None:
    """Compare tensors with the case's answers by path; name every one that is off."""
    assert answers, "nothing to compare"
    errors = {path: case.answers[path].error(value.detach().numpy()) for path, value in answers.items()}
    record("largest error", max(errors.values()))
    wrong = {path: f"{error:.1e}" for path, error in errors.items() if not error <= tolerance}
    assert not wrong, f"{case.name}: off by more than {tolerance:.0e}: {wrong}"

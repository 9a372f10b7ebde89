"""`pansight models` looks parameter counts up: they must be what the networks have."""

import pytest

from pansight.zoo import available, parameters
from pansight.zoo.parameters import count, counted, parameters_of


def test_counts_are_those_of_the_networks() -> None:
    # Presets that differ in size and thresholds alone are one network; it is built once.
    built: dict[str, int] = {}
    for spec in available():
        network = f"{spec.method} {spec.config!r} {len(spec.categories.thing_indices)} {len(spec.categories)}"
        if network not in built:
            built[network] = count(spec)
        assert counted()[spec.name] == built[network], f"{spec.name}: run scripts/count_parameters.py"


def test_no_model_is_listed_that_is_gone() -> None:
    assert set(counted()) == {spec.name for spec in available()}, "run scripts/count_parameters.py"


def test_a_model_that_is_not_listed_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = next(spec for spec in available() if spec.name == "yoso-tiny")
    known = parameters_of(spec)
    monkeypatch.setattr(parameters, "counted", dict)
    assert parameters_of(spec) == known > 0

"""How many parameters each model has: looked up, because counting them means building the network."""

import json
from functools import cache
from importlib import resources

from pansight.zoo.methods import construct, parameter_count
from pansight.zoo.spec import ModelSpec


@cache
def counted() -> dict[str, int]:
    """Parameters by name of every model that has one, from `assets/parameters.json`.

    `python scripts/count_parameters.py` writes that file; a test builds all models and compares.
    """
    file = resources.files("pansight") / "assets" / "parameters.json"
    content: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
    return content


def parameters_of(spec: ModelSpec) -> int:
    """How many numbers training would change, were nothing frozen.

    A model that is not in the file is built to count them, which takes a second.
    """
    known = counted().get(spec.name)
    return count(spec) if known is None else known


def count(spec: ModelSpec) -> int:
    """The same, by building the network."""
    return parameter_count(construct(spec.method, spec.config, spec.categories, spec.preprocess, blank=True))

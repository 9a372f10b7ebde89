"""The named models: those of the papers, and the small ones that ship with the package."""

import difflib
from functools import cache
from importlib import resources
from pathlib import Path

from pansight.errors import CheckpointError, PansightError
from pansight.models.method import Method
from pansight.zoo.header import read_header
from pansight.zoo.methods import METHODS
from pansight.zoo.spec import Figure, ModelSpec

ASSETS = Path(str(resources.files("pansight"))) / "assets" / "weights"

EMBEDDED = {
    name: f"{name}.safetensors"
    for name in (
        "panoptic-fcn-photo",
        "yoso-photo",
        "yoso-tiny",
        "dense-tiny",
        "panoptic-fcn-tiny",
        "epsnet-tiny",
    )
}
"""models whose file ships with the package, in ASSETS; the file says what they are"""


@cache
def _presets(method: Method) -> tuple[ModelSpec, ...]:
    return method.presets()


def released() -> tuple[ModelSpec, ...]:
    """The models of the papers, method by method, most of them with weights that their authors published."""
    return tuple(spec for method in METHODS.values() for spec in _presets(method))


def embedded_path(name: str) -> Path:
    """Where the package keeps an embedded model's file."""
    return ASSETS / EMBEDDED[name]


@cache
def _embedded(path: Path, name: str) -> ModelSpec:
    """What the file of an embedded model says; its `extra` may hold `description`, `pq` and `pq_source`."""
    if not path.is_file():
        raise CheckpointError(f"the weights of {name} are missing from this installation; reinstall pansight")
    header = read_header(path)
    extra = header.extra
    figures: tuple[Figure, ...] = ()
    if "pq" in extra:
        figures = (Figure(float(extra["pq"]), str(extra.get("pq_source", "its training"))),)
    return ModelSpec(
        name=name,
        method=header.method,
        config=header.config,
        categories=header.categories,
        preprocess=header.preprocess,
        description=str(extra.get("description", f"{header.method}, ships with the package")),
        embedded=EMBEDDED[name],
        figures=figures,
        licence=str(extra.get("licence", "Apache-2.0")),
    )


def available() -> list[ModelSpec]:
    """Every named model, the embedded ones first (as far as this installation has them).

    >>> [spec.name for spec in available()][:2]
    ['panoptic-fcn-photo', 'yoso-photo']
    """
    return [
        *(_embedded(embedded_path(name), name) for name in EMBEDDED if embedded_path(name).is_file()),
        *released(),
    ]


def names() -> list[str]:
    """The names of all models, whether or not their weights are available."""
    return [*EMBEDDED, *(spec.name for spec in released())]


def preset(name: str) -> ModelSpec:
    """The model called `name`. Raises PansightError with the nearest names when there is none.

    >>> preset("yoso-r50-coco").categories_name
    'coco'
    """
    if name in EMBEDDED:
        return _embedded(embedded_path(name), name)
    for spec in released():
        if spec.name == name:
            return spec
    near = difflib.get_close_matches(name.lower(), names(), n=3, cutoff=0.0)
    raise PansightError(f"no model {name!r}; did you mean {' or '.join(near)}? `pansight models` lists all")

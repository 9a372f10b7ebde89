"""The table of all models, kept as a file: making it anew means reading every configuration and category set.

`python scripts/count_parameters.py` writes `assets/models.json`; a test holds it against the presets. Only
what is on this machine, the weights, is looked up when somebody asks.
"""

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansight.zoo.cache import weights_folder, weights_state

if TYPE_CHECKING:
    from pansight.zoo.spec import ModelSpec

Row = dict[str, Any]

ASSETS = Path(str(resources.files("pansight"))) / "assets"
TABLE = ASSETS / "models.json"


def kept_row(spec: "ModelSpec") -> Row:
    """What the file says of a model: all that is known without its weights."""
    from pansight.zoo.parameters import parameters_of

    return {
        "name": spec.name,
        "method": spec.method,
        "description": spec.description,
        "data": spec.categories_name,
        "things": len(spec.categories.thing_indices),
        "stuff": len(spec.categories.stuff_indices),
        "parameters": parameters_of(spec),
        "short_side": spec.preprocess.short,
        "longest_side": spec.preprocess.longest,
        "squashed": None if spec.preprocess.squash is None else list(spec.preprocess.squash),
        "embedded": spec.embedded,
        "licence": spec.weights[0].licence if spec.weights else spec.licence,
        "files": [
            {
                "name": file.name,
                "url": file.url,
                "licence": file.licence,
                "page": file.page,
                "size": file.size,
                "sha256": file.sha256,
            }
            for file in spec.weights
        ],
        "figures": [
            {"pq": figure.pq, "fps": figure.fps, "hardware": figure.hardware, "source": figure.source}
            for figure in spec.figures
        ],
    }


def listed_models(names: Sequence[str] | None = None) -> list[Row]:
    """All that is known of every model with a name, or of these, as `pansight models --json` prints it.

    `weights` is `embedded`, `cached`, `to download` or `none`. Embedded models whose file this installation
    lacks are left out. Raises PansightError, with the nearest names, for a name that there is not.

    Example:
        >>> [row["parameters"] > 40e6 for row in listed_models(["yoso-r50-coco"])]
        [True]
    """
    kept: dict[str, Row] = {row["name"]: row for row in json.loads(TABLE.read_text(encoding="utf-8"))}
    if not names:
        names = [
            name
            for name, row in kept.items()
            if row["embedded"] is None or (ASSETS / "weights" / row["embedded"]).is_file()
        ]
    return [_completed(kept[name] if name in kept else _unkept(name)) for name in names]


def _unkept(name: str) -> Row:
    """The row of a model that the file does not have: one of a method that was registered."""
    from pansight.zoo.presets import preset

    return kept_row(preset(name))


def _completed(row: Row) -> Row:
    """The row with where the weights are."""
    folder = weights_folder()
    files = [
        {"url": file["url"], "cache": str(folder / file["name"]), **_without(file, "url", "name")}
        for file in row["files"]
    ]
    weights = weights_state(row["embedded"], [file["name"] for file in row["files"]])
    rest = _without(row, "embedded", "licence", "files", "figures")
    return {
        **rest,
        "weights": weights,
        "licence": row["licence"],
        "files": files,
        "figures": row["figures"],
    }


def _without(row: Row, *keys: str) -> Row:
    return {key: value for key, value in row.items() if key not in keys}

"""The table of all models, kept as a file: making it anew means reading every configuration and category set.

`python scripts/count_parameters.py` writes `assets/models.json`; a test holds it against the presets. Only
what is on this machine, the weights, is looked up when somebody asks.
"""

import json
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
        "files": [{"url": file.url, "name": file.name} for file in spec.weights],
        "figures": [
            {"pq": figure.pq, "fps": figure.fps, "hardware": figure.hardware, "source": figure.source}
            for figure in spec.figures
        ],
    }


def listed_models() -> list[Row]:
    """All that is known of every model with a name, as `pansight models --json` prints it.

    `weights` is `embedded`, `cached`, `to download` or `none`. Embedded models whose file this installation
    lacks are left out.

    Example:
        >>> [row["parameters"] > 40e6 for row in listed_models() if row["name"] == "yoso-r50-coco"]
        [True]
    """
    kept: list[Row] = json.loads(TABLE.read_text(encoding="utf-8"))
    return [
        _completed(row)
        for row in kept
        if row["embedded"] is None or (ASSETS / "weights" / row["embedded"]).is_file()
    ]


def _completed(row: Row) -> Row:
    """The row with where the weights are."""
    folder = weights_folder()
    files = [{"url": file["url"], "cache": str(folder / file["name"])} for file in row["files"]]
    weights = weights_state(row["embedded"], [file["name"] for file in row["files"]])
    figures = row["figures"]
    left = {key: value for key, value in row.items() if key not in ("embedded", "files", "figures")}
    return {**left, "weights": weights, "files": files, "figures": figures}

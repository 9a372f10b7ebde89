"""Write `assets/parameters.json` and `assets/models.json`: all that `pansight models` says of every model.

    python scripts/count_parameters.py

Run it after adding or changing a preset, a network or an embedded model; tests/zoo/test_parameters.py and
tests/zoo/test_listing.py say when.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from pansight.files import atomic_write
from pansight.zoo import available
from pansight.zoo.listing import TABLE as LISTING
from pansight.zoo.listing import kept_row
from pansight.zoo.parameters import count, counted

TABLE = Path(str(resources.files("pansight"))) / "assets" / "parameters.json"


def main() -> None:
    """Build each model, count, and write both tables."""
    table = {spec.name: count(spec) for spec in available()}
    write(TABLE, table)
    counted.cache_clear()
    write(LISTING, [kept_row(spec) for spec in available()])


def write(path: Path, content: Any) -> None:
    """As JSON, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"{path}: {len(content)} models")


if __name__ == "__main__":
    main()

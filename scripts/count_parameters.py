"""Write `assets/parameters.json`: how many parameters every model of the zoo has.

    python scripts/count_parameters.py

Run it after adding a preset or changing a network; tests/zoo/test_parameters.py says when.
"""

import json
from importlib import resources
from pathlib import Path

from pansight.files import atomic_write
from pansight.zoo import available
from pansight.zoo.parameters import count

TABLE = Path(str(resources.files("pansight"))) / "assets" / "parameters.json"


def main() -> None:
    """Build each model, count, and write."""
    table = {spec.name: count(spec) for spec in available()}
    with atomic_write(TABLE) as temporary:
        temporary.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    print(f"{TABLE}: {len(table)} models")


if __name__ == "__main__":
    main()

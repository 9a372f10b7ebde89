"""Write `versions.json` and the front page of a folder that holds the documentation, one folder a version.

    python scripts/docs_versions.py pages

Every page of the site reads `../versions.json` and offers the other versions; where there is none, as in a
copy on a disk, it offers nothing.
"""

import json
import re
import sys
from pathlib import Path


def versions(folder: Path) -> list[str]:
    """Names of the folders, the newest release first, then `dev`."""
    found = [path.name for path in folder.iterdir() if re.fullmatch(r"v\d+(\.\d+)*\w*", path.name)]

    def key(name: str) -> tuple[list[int], bool]:
        return [int(number) for number in re.findall(r"\d+", name)], not re.search(r"[a-z]", name[1:])

    rest = ["dev"] if (folder / "dev").is_dir() else []
    return sorted(found, key=key, reverse=True) + rest


def main(folder: Path) -> None:
    """Write both files."""
    names = versions(folder)
    if not names:
        sys.exit(f"{folder} holds no documentation: a folder for each version, v0.2.0 or dev")
    (folder / "versions.json").write_text(json.dumps(names) + "\n", encoding="utf-8")
    first = "latest" if (folder / "latest").is_dir() else names[0]
    refresh = f'<meta http-equiv="refresh" content="0; url={first}/">'
    front = f'<!doctype html><meta charset="utf-8"><title>Pansight</title>{refresh}'
    (folder / "index.html").write_text(f'{front}<a href="{first}/">Pansight</a>\n', encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

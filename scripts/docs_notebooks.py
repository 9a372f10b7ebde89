"""Make notebooks of the tutorials: `python scripts/docs_notebooks.py` writes examples/notebooks/.

The Markdown is the source; a test holds that the notebooks are what this makes of it. `console` blocks stay
text, `sh` blocks become `%%bash`, and what a comment shrinks for the tests is left as readers see it.
"""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = ROOT / "docs" / "tutorials"
FOLDER = ROOT / "examples" / "notebooks"

_FENCE = re.compile(r"^```(sh|python)\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
_NOTE = re.compile(r"^% test: .*\n", re.MULTILINE)
_BACKGROUND = re.compile(r"^% test: background$", re.MULTILINE)


def notebook(source: str, name: str) -> str:
    """The notebook of one page, as JSON."""
    cells: list[dict[str, Any]] = []
    end = 0
    for match in _FENCE.finditer(source):
        before = source[end : match.start()]
        _add_text(cells, before)
        code = match[2].rstrip("\n")
        if match[1] == "sh":
            # what runs in the background must not hold the cell
            code = f"%%bash --bg\n{code.rstrip('& ')}" if _BACKGROUND.search(before) else f"%%bash\n{code}"
        cells.append({"cell_type": "code", "execution_count": None, "outputs": [], **_source(code)})
        end = match.end()
    _add_text(cells, source[end:])
    for number, cell in enumerate(cells):
        cell["id"] = f"{name}-{number}"
        cell["metadata"] = {}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _add_text(cells: list[dict[str, Any]], text: str) -> None:
    text = _NOTE.sub("", text).strip()
    # links of the page lead from docs/tutorials; the notebook lies in examples/notebooks
    text = re.sub(r"\]\((?!\w+:|#)(?:\.\./)?([^)]+)\)", _from_here, text)
    if text:
        cells.append({"cell_type": "markdown", **_source(text)})


def _from_here(match: re.Match[str]) -> str:
    place = match[0][2:-1]
    folder = "docs/" if place.startswith("../") else "docs/tutorials/"
    return f"](../../{folder}{match[1]})"


def _source(text: str) -> dict[str, list[str]]:
    return {"source": text.splitlines(keepends=True)}


def made() -> dict[str, str]:
    """Every notebook by its file name."""
    return {
        f"{path.stem}.ipynb": notebook(path.read_text(encoding="utf-8"), path.stem)
        for path in sorted(TUTORIALS.glob("*.md"))
    }


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in made().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
        print(FOLDER / name)

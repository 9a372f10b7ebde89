"""Notebooks are what the script makes of the tutorials."""

import json
import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_notebooks_are_those_of_the_tutorials() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "docs_notebooks.py"))["made"]()
    folder = ROOT / "examples" / "notebooks"
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.ipynb")}
    assert there == made, "run: python scripts/docs_notebooks.py"


def test_cells_are_code_and_links_lead_to_files() -> None:
    path = ROOT / "examples" / "notebooks" / "own-labels.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert any(text.startswith("%%bash\npansight train --model yoso-tiny --data labels") for text in code)
    assert any(text.startswith("import base64") for text in code)
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert "% test:" not in text
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert re.match(r"\w+:", link) or (path.parent / link).exists(), link

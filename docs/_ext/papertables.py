"""`{paper-tables}`: the published figures by data set, those that `pansight evaluate --compare` shows."""

import json
from importlib import resources
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

TITLES = {"coco": "COCO", "cityscapes": "Cityscapes", "ade20k": "ADE20K", "mapillary": "Mapillary Vistas"}

COLUMNS = ("method", "split", "backbone", "size", "PQ", "things", "stuff", "images/s", "source")


class PaperTables(Directive):
    """A section a data set."""

    def run(self) -> list[nodes.Node]:
        """The sections, best panoptic quality first."""
        file = resources.files("pansight") / "assets" / "published.json"
        rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        return [
            _section(key, title, [row for row in rows if row["data"] == key]) for key, title in TITLES.items()
        ]


def _section(key: str, title: str, rows: list[dict[str, Any]]) -> nodes.section:
    section = nodes.section(ids=[f"tables-{key}"])
    section += nodes.title("", title)
    table = nodes.table()
    group = nodes.tgroup(cols=len(COLUMNS))
    table += group
    for _ in COLUMNS:
        group += nodes.colspec(colwidth=1)
    head = nodes.thead()
    head += _row(COLUMNS)
    body = nodes.tbody()
    for row in sorted(rows, key=lambda one: (one["split"] != "val", -one["pq"])):
        fps = f"{row['fps']} ({row.get('hardware', '')})" if row.get("fps") else ""
        numbers = [f"{row[name]:.1f}" if row.get(name) else "" for name in ("pq", "things", "stuff")]
        words = (row["method"], row["split"], row.get("backbone", ""), row.get("size", ""))
        body += _row((*words, *numbers, fps, row["source"]))
    group += head
    group += body
    section += table
    return section


def _row(words: tuple[str, ...]) -> nodes.row:
    row = nodes.row()
    for word in words:
        entry = nodes.entry()
        entry += nodes.paragraph("", word)
        row += entry
    return row


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("paper-tables", PaperTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

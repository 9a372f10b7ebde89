"""Docstrings here are plain text: what looks like code becomes code before Sphinx reads it as markup.

An indented block after a paragraph is an example; `name` in single backticks is a literal; a bare asterisk is
one.
"""

import re
from typing import Any

from sphinx.application import Sphinx

_SECTIONS = re.compile(
    r"^(Args|Arguments|Attributes|Returns|Yields|Raises|Note|Notes|Example|Examples|Keyword Args):$"
)
_LITERAL = re.compile(r"(?<![`\w])`([^`\n]+)`(?!`)")


def translate(lines: list[str]) -> list[str]:
    """The docstring as reStructuredText."""
    found: list[str] = []
    code = section = example = False
    for number, line in enumerate(lines):
        indented = line.startswith("    ")
        if line.strip() and not indented:
            code, section = False, bool(_SECTIONS.match(line))
            example = line.startswith("Example")
        before = lines[number - 1].strip() if number else ""
        if indented and not code and not section and not before and number:
            code = True
            language = "pycon" if line.strip().startswith(">>>") else "python"
            found += [f".. code-block:: {language}", ""]
        found.append(line if code or (section and example and indented) else _prose(line))
    return found


def _prose(line: str) -> str:
    parts = []
    end = 0
    for match in _LITERAL.finditer(line):
        parts += [_escaped(line[end : match.start()]), f"``{match[1]}``"]
        end = match.end()
    return "".join((*parts, _escaped(line[end:])))


def _escaped(text: str) -> str:
    return re.sub(r"(?<!\*)\*(?!\*)|\*\*(?=\w)|_(?=\W|$)|\|", lambda match: "\\" + match[0], text)


def _process(_: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = translate(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Run before napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

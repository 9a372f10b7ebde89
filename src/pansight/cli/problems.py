"""Thousands of problems with the same cause are one problem: grouped by kind, with a few of each."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pansight.errors import DataProblemsError

_SHOWN = 5
"""Problems of a kind that are shown."""

_PLACE = re.compile(r"^.*? \(image .*? of [^)]*\): |^.*?: ")
_PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|\S*[/\\]\S*|\d+")

_FIXABLE = re.compile(r"lacks iscrowd|in the PNG but not in|in segments_info but not in")


def in_short(problems: Sequence[str]) -> list[str]:
    """The problems by kind, the first five of each; a line says how many more there are."""
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        kinds.setdefault(_PARTICULARS.sub("#", _PLACE.sub("", problem, count=1)), []).append(problem)
    lines = []
    for alike in kinds.values():
        lines += alike[:_SHOWN]
        if len(alike) > _SHOWN:
            lines.append(f"... and {len(alike) - _SHOWN:,} more of this kind")
    return lines


@contextmanager
def problems_in_short(truth: Path, json_file: Path | None) -> Iterator[None]:
    """Let a refused evaluation say why in a few lines, and completely in the file of --json."""
    try:
        yield
    except DataProblemsError as error:
        lines = in_short(error.problems)
        if len(lines) >= len(error.problems):
            raise
        if json_file is not None:
            from pansight.files import atomic_write

            with atomic_write(json_file) as temporary:
                content = {"scored": False, "summary": error.summary, "problems": error.problems}
                temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
            lines.append(f"all of them are in {json_file}")
        else:
            lines.append("--json FILE writes all of them")
        if any(_FIXABLE.search(line) for line in error.problems):
            lines.append(f"`pansight data check {truth} --fix FOLDER` finds and fixes such things in labels")
        raise DataProblemsError(error.summary, lines) from error

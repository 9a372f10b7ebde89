"""Runs the fenced blocks of a page as written: `sh` as a shell would, `python` in one session a page.

`console` and other languages are shown and not run. A comment before a block may shrink it for the tests;
readers never see it:

    % test: replace `--steps 600` by `--steps 4`
    % test: background            (the block starts something that is stopped at the end of the page)
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOTE = re.compile(r"^% test: (.+)$", re.MULTILINE)
_REPLACE = re.compile(r"^replace `([^`]+)` by `([^`]+)`$")
_SHELL = re.compile(r"[|<>&;$`]")


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is where it begins, `notes` are the comments before it."""

    language: str
    text: str
    line: int
    notes: tuple[str, ...] = ()

    @property
    def background(self) -> bool:
        """Whether it starts what goes on running."""
        return "background" in self.notes


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks, those that notes change already changed."""
    source = page.read_text(encoding="utf-8")
    end = 0
    for match in _FENCE.finditer(source):
        notes = tuple(note.strip() for note in _NOTE.findall(source[end : match.start()]))
        text = match[2]
        for note in notes:
            for old, new in _REPLACE.findall(note):
                assert old in text, f"{page.name}: {old!r} is not in the block that it should be replaced in"
                text = text.replace(old, new)
        yield Block(match[1], text, source.count("\n", 0, match.start()) + 2, notes)
        end = match.end()


@dataclass
class Session:
    """One page's run, in the folder that is current."""

    page: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, block: Block) -> None:
        """Run one block. Raises what it raises; AssertionError where a command fails."""
        if block.language == "python":
            padded = "\n" * (block.line - 1) + block.text  # so that a traceback names the page's line
            exec(compile(padded, str(self.page), "exec"), self.names)
            return
        for command in block.text.replace("\\\n", " ").strip().splitlines():
            where = f"{self.page.name}, line {block.line}: {command}"
            if block.background:
                self._start(command.rstrip("& "))
            elif command.startswith("pansight ") and not _SHELL.search(command):
                code = in_this_process(shlex.split(command, comments=True)[1:])
                assert code == 0, f"{where} ended with {code}"
            else:
                done = subprocess.run(["bash", "-ec", command], check=False)
                assert done.returncode == 0, f"{where} ended with {done.returncode}"

    def _start(self, command: str) -> None:
        words = shlex.split(command)
        assert words[0] == "pansight", command
        self.running.append(subprocess.Popen([sys.executable, "-m", *words], start_new_session=True))

    def end(self) -> None:
        """Stop what runs in the background."""
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def in_this_process(arguments: list[str]) -> int:
    """Run the command line; starting Python and torch anew for each command would take most of the time."""
    from pansight.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["pansight", *arguments])
        try:
            main.run()
        except SystemExit as left:
            return int(left.code or 0)
    return 0

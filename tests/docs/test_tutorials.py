"""Every tutorial is run as written, at a tiny scale; and what pages say of the source stays true."""

import re
from pathlib import Path

import pytest
from tutorial import Block, Session, blocks

import pansight

DOCS = Path(__file__).parents[2] / "docs"

RUN = ["start.md", *sorted(f"tutorials/{path.name}" for path in (DOCS / "tutorials").glob("*.md"))]


@pytest.mark.usefixtures(
    "unchecked_shapes"
)  # users have no checks, and exporting traces what would be checked
@pytest.mark.parametrize("name", RUN)
def test_a_page_runs_as_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    session = Session(DOCS / name)
    ran = 0
    try:
        for block in blocks(DOCS / name):
            if block.language in ("sh", "python"):
                session.run(block)
                ran += 1
    finally:
        session.end()
    assert ran, f"{name} has nothing to run"


def test_blocks_are_found_with_their_notes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    shrunk = "% test: replace `600` by `4`\n```sh\npansight train --steps 600\n```\n"
    page.write_text(f"one\n\n{shrunk}\n```console\n$ x\n```\n")
    assert list(blocks(page)) == [
        Block("sh", "pansight train --steps 4\n", 5, ("replace `600` by `4`",)),
        Block("console", "$ x\n", 9),
    ]


def test_a_failing_command_fails_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="ended with 2"):
        Session(tmp_path / "page.md").run(Block("sh", "pansight predict absent.png\n", 1))
    with pytest.raises(ZeroDivisionError):
        Session(tmp_path / "page.md").run(Block("python", "1 / 0\n", 1))


def test_the_troubleshooting_page_quotes_messages_that_exist() -> None:
    package = Path(pansight.__file__).parent
    source = " ".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    source = re.sub(r'"\s+f?"', "", source)  # messages are written over several lines
    page = (DOCS / "guides" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(quoted) > 20
    assert not [message for message in quoted if message not in source]

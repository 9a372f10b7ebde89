"""The progress bar."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from pansight.cli.predict import tell
from pansight.cli.progress import RateColumn, progress_bar


@pytest.mark.parametrize(("done", "seconds", "text"), [(0, 5, ""), (30, 12, "2.5/s"), (2, 5, "2.5 s each")])
def test_rate(done: int, seconds: float, text: str) -> None:
    clock = [0.0]
    progress = Progress(get_time=lambda: clock[0], disable=True)
    task = progress.add_task("", total=100)
    clock[0] = seconds
    progress.advance(task, done)
    assert RateColumn().render(progress.tasks[0]).plain == text


def test_on_a_terminal_failures_are_whole_lines_above_the_bar() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    with progress_bar(console) as progress:
        progress.add_task("segmenting", total=7, completed=3)
        tell(console, "[a].png: no such file; check the path")
    assert "failed: [a].png: no such file; check the path\n" in screen.getvalue()
    assert "3/7" in screen.getvalue()


def test_in_a_pipe_there_is_no_bar() -> None:
    screen = io.StringIO()
    with progress_bar(Console(file=screen)) as progress:
        progress.add_task("segmenting", total=7)
    assert screen.getvalue() == ""

"""Shape and type annotations are checked at run time while the tests run."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("pansight", "beartype.beartype")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data and golden files; tests that need it are skipped where it is absent."""
    root = os.environ.get("PANSIGHT_TEST_DATA")
    if not root:
        pytest.skip("PANSIGHT_TEST_DATA is not set: real data and full golden files are not here")
    path = Path(root).resolve()
    assert path.is_dir(), f"PANSIGHT_TEST_DATA={root} is no folder"
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forbid-skips", action="store_true", help="fail when any test was skipped")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With --forbid-skips a run that skipped something fails, and says what."""
    if not session.config.getoption("--forbid-skips"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and exitstatus == 0:
        reporter.write_line(f"{len(skipped)} tests were skipped, none may be: {skipped[0].nodeid}", red=True)
        session.exitstatus = 1

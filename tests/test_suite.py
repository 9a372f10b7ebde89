"""The suite itself: the same cases for everyone, more on demand, whole in a source distribution."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

DRAWING = """
import os
from hypothesis import given, settings, strategies as st

@settings(max_examples=20)
@given(st.integers(0, 2**60))
def test_draws(number):
    with open(os.environ["DRAWN"], "a") as file:
        file.write(f"{number}\\n")

def test_that_draws_nothing():
    with open(os.environ["DRAWN"], "a") as file:
        file.write("none\\n")
"""


def drawn(folder: Path, name: str, *options: str) -> list[str]:
    """The numbers that a test drew, in a run of pytest with the suite's own configuration of draws."""
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)],
        check=True,
        capture_output=True,
        cwd=folder,
        env={**environment, "DRAWN": str(folder / name)},
    )
    return (folder / name).read_text().split()


def test_cases_are_the_same_for_everyone_and_new_when_exploring(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = timeout: seconds\n")
    (tmp_path / "test_drawing.py").write_text(DRAWING)
    first, second = (drawn(tmp_path, name) for name in ("first", "second"))
    assert first == second and first.count("none") == 1 and len(first) == 21
    explored = drawn(tmp_path, "explored", "--explore")
    assert len(explored) >= 10 * 20 and "none" not in explored
    assert len(set(explored) - set(first)) > 100


def included() -> list[str]:
    """What pyproject.toml puts into the source distribution."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r"\[tool\.hatch\.build\.targets\.sdist\]\ninclude = (\[.*?\])", text, re.DOTALL)
    assert found is not None
    names: list[str] = ast.literal_eval(found[1])
    return names


NOT_SHIPPED = {".github", ".gitignore", ".pre-commit-config.yaml", "pyproject.toml"}
"""for those who work with the repository; .gitignore and pyproject.toml the build adds by itself"""


def test_the_source_distribution_holds_all_that_is_tracked() -> None:
    names = included()
    assert all(name.startswith("/") for name in names), "a name without a slash matches at any depth"
    missing = [name for name in names if not (ROOT / name[1:]).exists()]
    assert not missing, f"pyproject.toml names what is not there: {missing}"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0 or not (ROOT / ".git").exists():
        tracked = {path.name for path in ROOT.iterdir() if path.name in {"src", "tests", "scripts"}}
    else:
        tracked = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    lost = tracked - {name[1:] for name in names} - NOT_SHIPPED
    assert not lost, f"not in the source distribution, though tracked: {sorted(lost)}; see pyproject.toml"


@pytest.mark.parametrize("target", ["demo", "test", "explore", "lint", "format"])
def test_what_make_needs_is_shipped(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition(f"\n{target}:\n")[2].partition("\n\n")[0]
    scripts = re.findall(r"\./([\w/]+)", recipe)
    assert scripts, f"make {target} runs nothing of the repository"
    for script in scripts:
        assert (ROOT / script).is_file()
        assert any(f"/{script}".startswith(name) for name in included())

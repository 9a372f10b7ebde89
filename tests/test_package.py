"""What `import pansight` gives, and what it costs."""

import subprocess
import sys

import pytest

import pansight

SCRIPT = """
import sys, pansight
assert not {"torch", "numpy", "pydantic", "typer", "lightning", "PIL"} & set(sys.modules), "import is heavy"
assert callable(pansight.draw.overlay) and "draw" in dir(pansight)
assert all(hasattr(pansight, name) for name in pansight.__all__)
"""


def test_names_come_when_they_are_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_other_names_are_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="drawing_board"):
        pansight.drawing_board  # noqa: B018

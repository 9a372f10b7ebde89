"""`python -m pansight` is the command line, too."""

import subprocess
import sys

from pansight.version import __version__


def test_the_module_runs_the_command_line() -> None:
    command = [sys.executable, "-m", "pansight", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, f"pansight {__version__}"), done.stderr

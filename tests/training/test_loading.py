"""Processes that load samples."""

import subprocess
import sys

_ASK = """
from pansight.training.loading import NEEDED, worker_context

if __name__ == "__main__":
    with worker_context(1).Pool(1) as pool:
        names = pool.apply(eval, ("sorted(__import__('sys').modules)",))
    print(*({"torch", *NEEDED} - set(names)), "pansight.training.run" in names)
"""


def test_workers_begin_with_all_that_they_need_imported_and_no_more() -> None:
    """Else every validation waits while each worker imports torch anew."""
    done = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]

"""Processes that load samples."""

import pickle
import pickletools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pansight.training import data_module, validation
from pansight.training.config import TrainConfig
from pansight.training.loading import NEEDED, WatchedLoader
from pansight.training.run import train
from pansight.training.sources import Sources

_ASK = """
from pansight.training.loading import worker_context

if __name__ == "__main__":
    with worker_context(1).Pool(1) as pool:
        print(*pool.apply(eval, ("sorted(__import__('sys').modules)",)))
"""


def modules_after(program: str) -> set[str]:
    """What a program that prints names of modules printed."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_workers_begin_with_all_that_they_need_imported_and_no_more() -> None:
    """Else every validation waits while each worker imports torch anew."""
    names = modules_after(_ASK)
    assert {"torch", *NEEDED} <= names
    assert "lightning" not in names


def test_nothing_that_workers_are_sent_imports_lightning(
    tiny: Callable[..., TrainConfig], sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []

    def watched(dataset: Any, **options: Any) -> WatchedLoader:
        functions = (options["collate_fn"], options["worker_init_fn"])
        sent.append(pickle.dumps((type(dataset), *functions), protocol=2))
        return WatchedLoader(dataset, **options)

    for module in (data_module, validation):
        monkeypatch.setattr(module, "WatchedLoader", watched)
    changes: dict[str, Any] = {"steps": 1, "validation": {"every": 1, "pictures": 1}}
    train(tiny(**changes), tmp_path / "run", sources=sources)
    assert len(sent) >= 2
    modules = {
        str(argument).split()[0]
        for one in sent
        for code, argument, _ in pickletools.genops(one)
        if code.name == "GLOBAL" and str(argument).startswith("pansight")
    }
    assert len(modules) >= 2
    names = modules_after(f"import sys, {', '.join(sorted(modules))}; print(*sys.modules)")
    assert "torch" in names and "lightning" not in names

"""Work spread over processes."""

import _thread
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from pansight.datatools.preparing import workers as module
from pansight.datatools.preparing.workers import default_workers, has_one_thread, run_over
from pansight.errors import DataError, PansightError


class Square:
    """Notes its number and its process in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, index: int) -> int:
        (self.folder / f"{index}-{os.getpid()}").touch()
        if index == 13:
            raise DataError("thirteen")
        if index == 14:
            os._exit(9)
        return index * index


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(tmp_path: Path, workers: int) -> None:
    assert list(run_over(Square(tmp_path), 12, workers)) == [index * index for index in range(12)]
    assert len(list(tmp_path.iterdir())) == 12


def test_the_work_is_done_by_other_processes(tmp_path: Path) -> None:
    list(run_over(Square(tmp_path), 12, 2))
    processes = {path.name.split("-")[1] for path in tmp_path.iterdir()}
    assert str(os.getpid()) not in processes


def test_whoever_stops_early_leaves_the_rest_undone(tmp_path: Path) -> None:
    results = run_over(Square(tmp_path), 10_000, 2)
    assert next(results) == 0
    results.close()
    assert len(list(tmp_path.iterdir())) < 100


def test_an_error_comes_at_its_turn(tmp_path: Path) -> None:
    results = run_over(Square(tmp_path), 14, 2)
    assert [next(results) for _ in range(13)] == [index * index for index in range(13)]
    with pytest.raises(DataError, match="thirteen"):
        next(results)


class Dying(Square):
    def __call__(self, index: int) -> int:
        return super().__call__(14)


def test_a_killed_worker_is_told(tmp_path: Path) -> None:
    with pytest.raises(PansightError, match=r"killed.*fewer workers"):
        list(run_over(Dying(tmp_path), 5, 2))


def test_with_threads_running_fresh_processes_are_used(tmp_path: Path) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert list(run_over(abs, 3, 2)) == [0, 1, 2]
    finally:
        done.set()
        thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="threads are listed on Linux only")
def test_threads_that_python_does_not_know_are_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # one of OpenMP's: started beside threading's back
    _thread.start_new_thread(time.sleep, (5,))
    assert not has_one_thread()
    assert module._context().get_start_method() != "fork"
    (tmp_path / "1").mkdir()
    monkeypatch.setattr(module, "_THREADS", tmp_path)
    assert has_one_thread()
    assert module._context().get_start_method() == "fork"


def test_no_more_workers_than_processors() -> None:
    assert 1 <= default_workers() <= min(8, os.cpu_count() or 1)

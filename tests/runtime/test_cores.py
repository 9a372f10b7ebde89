"""How many cores there are for this process."""

import os
from pathlib import Path

import pytest

from pansight.runtime import cores


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 cores, all of them ours, whose control groups are files in a folder."""
    monkeypatch.setattr(cores, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "_OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    return tmp_path


def put(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_affinity_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores.usable_cores() == 16
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5})
    assert cores.usable_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores.usable_cores() == 6


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 16),
        ("200000 100000", 2),
        ("350000 100000", 3),
        ("50000 100000", 1),
        ("9900000 100000", 16),
    ],
)
def test_the_quota_of_a_container(machine: Path, quota: str, expected: int) -> None:
    put(machine / "own", "0::/\n")
    put(machine / "cgroup/cpu.max", f"{quota}\n")
    assert cores.usable_cores() == expected


def test_groups_above_count_too(machine: Path) -> None:
    put(machine / "own", "0::/system.slice/job.service\n")
    put(machine / "cgroup/system.slice/cpu.max", "300000 100000")
    put(machine / "cgroup/system.slice/job.service/cpu.max", "max 100000")
    assert cores.usable_cores() == 3


def test_a_container_that_sees_only_its_root(machine: Path) -> None:
    put(machine / "own", "0::/../../of/the/host\n")
    put(machine / "cgroup/cpu.max", "400000 100000")
    assert cores.usable_cores() == 4


def test_version_one(machine: Path) -> None:
    put(machine / "own", "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n")
    put(machine / "cgroup/cpu/docker/1/cpu.cfs_quota_us", "250000\n")
    put(machine / "cgroup/cpu/docker/1/cpu.cfs_period_us", "100000\n")
    assert cores.usable_cores() == 2
    put(machine / "cgroup/cpu/docker/1/cpu.cfs_quota_us", "-1\n")
    assert cores.usable_cores() == 16


def test_nonsense_is_no_limit(machine: Path) -> None:
    put(machine / "own", "0::/\nwhat is this\n")
    put(machine / "cgroup/cpu.max", "100000 0")
    assert cores.usable_cores() == 16

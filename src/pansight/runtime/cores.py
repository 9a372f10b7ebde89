"""How many processor cores this process may use."""

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Cores by affinity (taskset, cpusets) and by the cgroup's quota (containers); at least 1.

    `os.cpu_count()` says what the machine has; with more threads than a container may use, they all wait
    for each other.
    """
    # macOS and Windows have no such call
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return max(1, cores if quota is None else min(cores, int(quota)))


def _quota() -> float | None:
    """Cores' worth of time that the cgroup grants, the least of it and those above; None: no limit."""
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not colon:
            continue
        if controllers == "":  # version 2
            root, read = _CGROUPS, _version_2
        elif "cpu" in controllers.split(","):
            root, read = _CGROUPS / "cpu", _version_1
        else:
            continue
        # in a container the path may be the host's, of which only the root is seen
        names = [name for name in path.split("/") if name not in ("", "..")]
        for depth in range(len(names) + 1):
            share = read(root.joinpath(*names[:depth]))
            if share is not None:
                found.append(share)
    return min(found, default=None)


def _version_2(folder: Path) -> float | None:
    """From `cpu.max`: "QUOTA PERIOD" in microseconds, or "max PERIOD"."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _version_1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None

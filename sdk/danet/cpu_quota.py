"""The CPU time that a container is allowed (docker --cpus, limits of Kubernetes), read from the process's cgroups."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

CGROUPS = "sys/fs/cgroup"
"""Where Linux shows the cgroups, below the root folder."""


def quota_cores(root: Path = Path("/")) -> int | None:
    """Cores' worth of time that the process's cgroup and those above it allow, rounded up; None: no limit is known.

    Args:
        root: the folder under which /proc and /sys are looked for.
    """
    shares = [share for folder in cgroup_folders(root, "cpu") if (share := _share(folder)) is not None]
    return max(1, math.ceil(min(shares))) if shares else None


def cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """The process's cgroup of each hierarchy that may have a controller ("cpu", "memory"), and those above it."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        # version 2 names no controllers; the folder of version 1 is called by all that share it, or by this one
        for name in {controllers, controller} if controllers else {""}:
            mount = root / CGROUPS / name
            own = mount / path.lstrip("/")  # of the host, where a container sees the mount as its own cgroup
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(mount))


def _share(folder: Path) -> float | None:
    """Time per period that one cgroup is allowed, by version 2 or 1; None: no limit."""
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    try:
        allowed = int(quota) / int(period)
    except (ValueError, ZeroDivisionError, OverflowError):  # "max", or no such file
        return None
    return allowed if allowed > 0 else None  # -1: no limit


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""

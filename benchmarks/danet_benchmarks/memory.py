"""How much memory a process has used, and how much the machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from danet.cpu_quota import cgroup_folders
from danet.peak_memory import peak_memory

MIB = 1 << 20


def peak_rss_mib() -> float:
    """Largest resident memory of this process so far, MiB; 0.0 where the system does not tell."""
    return peak_memory() / MIB


def machine_memory_gib(root: Path = Path("/")) -> float:
    """Of the machine, or what a container is allowed of it, GiB; 0.0 where the system does not tell.

    Args:
        root: the folder under which /proc and /sys are looked for.
    """
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0.0
    return min([whole, *_allowed(root)]) / (1 << 30)


def _allowed(root: Path) -> Iterator[int]:
    """Bytes that the process's cgroup and those above it allow."""
    for folder in cgroup_folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):  # of versions 2 and 1
            with suppress(OSError, ValueError):  # no such file, or "max"
                yield int((folder / name).read_text(encoding="ascii"))

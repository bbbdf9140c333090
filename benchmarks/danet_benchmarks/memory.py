"""How much memory a process has used, and how much the machine has."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

MIB = 1 << 20


def peak_rss_mib() -> float:
    """Largest resident memory of this process so far, MiB; 0.0 where the system does not tell.

    Linux tells the peak of `getrusage` with the memory of the process that started this one in it,
    so its own high-water mark is read instead.
    """
    status = Path("/proc/self/status")
    if status.is_file() and (found := re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"), re.M)):
        return int(found[1]) / 1024
    if sys.platform == "win32":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB  # bytes on macOS


def machine_memory_gib() -> float:
    """Of the machine, GiB; 0.0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    except (AttributeError, ValueError, OSError):
        return 0.0

"""How much memory this process has held at most."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def peak_memory() -> int:
    """Largest resident memory of this process so far, bytes; 0 where the system does not tell (Windows).

    Linux tells the peak of `getrusage` with the memory of the process that started this one in it,
    so its own high-water mark is read instead.
    """
    status = Path("/proc/self/status")
    # as bytes: a process may have any name
    if status.is_file() and (found := re.search(rb"^VmHWM:\s+(\d+) kB", status.read_bytes(), re.M)):
        return int(found[1]) << 10
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

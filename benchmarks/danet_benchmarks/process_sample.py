"""What a process holds at a moment: memory, threads, open files."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class ProcessSample:
    """A process at a moment."""

    rss_mib: float
    threads: int
    handles: int
    """Open file descriptors (on Windows: handles)."""


def sample(process: psutil.Process) -> ProcessSample:
    """The process as it is now."""
    handles = process.num_handles() if sys.platform == "win32" else process.num_fds()
    return ProcessSample(process.memory_info().rss / (1 << 20), process.num_threads(), handles)

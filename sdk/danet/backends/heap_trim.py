"""Giving back to the system what the C library's heap holds free."""

from __future__ import annotations

import ctypes
import sys


def trim_heap() -> None:
    """Give back what is free: a compilation leaves tens of MiB that a camera app needs never again; glibc only."""
    if sys.platform != "linux":
        return
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl has none
        return
    trim(ctypes.c_size_t(0))

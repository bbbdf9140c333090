"""What the process's allocator has given out, which resident memory does not tell: that holds freed parts as well."""

from __future__ import annotations

import ctypes
import re
import sys

_LAST_HEAP = "</heap>"


def allocated_mib() -> float | None:
    """MiB that are allocated and not freed, by glibc's `malloc_info`; None where there is no glibc.

    OpenVINO, ONNX Runtime, LiteRT, OpenCV, NumPy and Python's larger objects all allocate there. glibc gives a program
    of many threads up to eight heaps for each core, and each keeps what was freed in it: resident memory rises for
    many minutes before it is steady.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_info"):
        return None
    libc.open_memstream.restype = ctypes.c_void_p
    text, size = ctypes.c_void_p(), ctypes.c_size_t()
    stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
    if not stream:
        return None
    try:
        libc.malloc_info(0, stream)
    finally:
        libc.fclose(stream)
    try:
        return _allocated(ctypes.string_at(text, size.value).decode())
    finally:
        libc.free(text)


def _allocated(told: str) -> float:
    """The sum of all heaps stands after the last of them: what they have of the system, less what is free in them."""
    total = told[told.rindex(_LAST_HEAP) :]
    of = {kind: int(size) for kind, size in re.findall(r'type="(\w+)"[^>]*? size="(\d+)"', total)}
    return (of["current"] + of["mmap"] - of["fast"] - of["rest"]) / (1 << 20)

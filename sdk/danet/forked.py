"""What becomes of open models and videos in a process that was forked off: they are kept, and never used or freed.

The threads of a CPU runtime stay in the parent. In the child, running a model may wait for them for ever, and so does
freeing it (OpenVINO 2026.4 and ONNX Runtime 1.32 join threads that are not there). So the child keeps the parent's
models until it ends. They share the parent's memory pages and cost nothing. A video encoder that is freed writes the
end of its file, which is the parent's.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Protocol


class Holder(Protocol):
    """An object with something open that must not be freed in a forked child."""

    @property
    def _opened(self) -> object: ...


_HOLDERS: weakref.WeakSet[Holder] = weakref.WeakSet()


def keep_in_children(holder: Holder) -> None:
    """Keep what `holder` has open at a fork, in the child, until that ends."""
    _HOLDERS.add(holder)


def _keep() -> None:
    for holder in _HOLDERS:
        # one reference that nobody gives back: not even the interpreter's end frees it
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(holder._opened))
    _HOLDERS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep)

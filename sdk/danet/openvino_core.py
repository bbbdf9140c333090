"""OpenVINO's runtime, one for the process, as backend and detectors use it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import openvino as ov

# pybind11 sets up its view of NumPy at the first tensor, under a lock that it waits for while holding
# the GIL: two threads that make their first tensors at once stop each other for ever (openvino
# 2026.4.1). Importing is serial, so it is done here.
_FIRST_TENSOR = ov.Tensor(np.zeros(1, np.uint8)).data


@lru_cache(maxsize=1)
def openvino_core() -> Any:
    """The process's `openvino.Core`, which reads weights into memory and does not map their file.

    Mapped, weights that are written over in place change the answers of open models, also of compiled ones, and a file
    that is cut short ends the process (SIGBUS).
    """
    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})
    return core

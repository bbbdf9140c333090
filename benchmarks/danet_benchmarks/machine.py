"""The machine that a run took place on."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from danet.cpu import read_cpu
from danet_benchmarks.memory import machine_memory_gib
from danet_benchmarks.results import Machine, Peak

LIBRARIES = (
    "danet-edge",
    "openvino",
    "onnxruntime",
    "torch",
    "ai-edge-litert",
    "tflite-runtime",
    "numpy",
    "opencv-python",
    "pycocotools",
)
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def read_machine(peaks: Sequence[Peak] = (), noise: float = 0.0, work_ms: float | None = None) -> Machine:
    """Ask the system; peaks and noise are measured elsewhere."""
    cpu = read_cpu()
    return Machine(
        cpu=cpu.name,
        cores=cpu.cores,
        features=cpu.features,
        governor=_governor(),
        memory_gib=machine_memory_gib(),
        system=platform.platform(),
        python=platform.python_version(),
        libraries=tuple((name, found) for name in LIBRARIES if (found := _version(name))),
        peaks=tuple(peaks),
        noise=noise,
        work_ms=work_ms,
    )


def _governor() -> str | None:
    try:
        return _GOVERNOR.read_text(encoding="ascii").strip()
    except OSError:
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

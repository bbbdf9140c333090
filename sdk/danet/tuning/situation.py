"""Where a measurement holds: this CPU, these versions, this model file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from danet.backends.registry import SUFFIXES
from danet.cpu import read_cpu

_DISTRIBUTIONS = {
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime", "onnxruntime-openvino", "onnxruntime-gpu"),
    "tflite": ("ai-edge-litert", "tflite-runtime"),
    "torch": ("torch",),
}
"""By backend, the packages that may be installed for it; the first that is found counts."""
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Situation:
    """What must be the same for a measurement to hold."""

    cpu: str
    cores: int
    """That the process may use."""
    features: tuple[str, ...]
    """Of the CPU: some Arm boards tell no name."""
    danet: str
    """Version of danet-edge."""
    backend: str
    backend_version: str

    def difference(self, now: Situation) -> str | None:
        """What is another now, in words, or None: the first field that differs."""
        for field in fields(self):
            then, here = getattr(self, field.name), getattr(now, field.name)
            if then != here:
                return f"measured with {field.name.replace('_', ' ')} {_words(then)}, here it is {_words(here)}"
        return None


def read_situation(backend: str) -> Situation:
    """The situation of this process, with the named backend."""
    cpu = read_cpu()
    return Situation(
        cpu=cpu.name,
        cores=cpu.cores,
        features=cpu.features,
        danet=_version("danet-edge"),
        backend=backend,
        backend_version=_version(*_DISTRIBUTIONS.get(backend, ())),
    )


def backend_of(path: Path, backend: str | None) -> str | None:
    """The backend that opens a file: the named one, or the one that its suffix stands for."""
    return backend or SUFFIXES.get(path.suffix.lower())


def _words(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _version(*distributions: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and seldom needed

    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return UNKNOWN

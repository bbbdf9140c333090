"""What a run has found out, kept beside the output: a run that was killed goes on where it was."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nncf
import openvino as ov

from danet.cpu import read_cpu
from danet.files import scratch_beside, write_beside

FOLDER = ".danet-quantize"
"""Its name in the output folder. It holds statistics and figures, never a model; it may be deleted."""

PACKAGES = (
    *("onnxruntime", "ai-edge-litert", "tflite-runtime", "ai-edge-quantizer", "litert-torch", "torch"),
    *("numpy", "opencv-python", "opencv-python-headless"),
)
"""Beside OpenVINO and NNCF: those that take part in an AP, from crop to keypoints, and that make TFLite files."""
ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Environment variables that keep OpenVINO from instructions that the CPU has."""


FORMAT = 5
"""One more with each change of what is computed from the same parts: of a graph's preparation, a decoder, a measure."""


def key_of(*parts: object) -> str:
    """A name for what was computed from `parts`, JSON values, by this code and these versions of NNCF and OpenVINO."""
    text = json.dumps([FORMAT, nncf.__version__, ov.__version__, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def measured_key(*parts: object) -> str:
    """As `key_of`, for a measured accuracy: kernels of other instructions or another version round otherwise."""
    cpu = read_cpu()
    limits = [os.environ.get(name) for name in ISA_LIMITS]
    versions = [_version(name) for name in PACKAGES]
    return key_of(cpu.name, cpu.features, limits, versions, *parts)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@dataclass
class Workspace:
    """Figures and folders by key, each written whole or not at all."""

    folder: Path
    reused: int = 0
    """How many results of earlier runs this one took over; who loads an `entry` counts it by `count`."""
    _known: set[str] = field(default_factory=set, init=False)
    """Keys of what this run kept or counted."""

    def count(self, key: str) -> None:
        """Count as reused what was taken over under `key`: once, and not what this run itself kept."""
        self.reused += key not in self._known
        self._known.add(key)

    def figures(self, key: str) -> dict[str, Any] | None:
        """What was kept under `key`; None where nothing was, or where it cannot be read."""
        try:
            found = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict):
            return None
        self.count(key)
        return found

    def keep(self, key: str, figures: dict[str, Any]) -> None:
        """Keep figures under `key`."""
        self._known.add(key)
        with write_beside(self.folder / f"{key}.json") as temporary:
            temporary.write_text(json.dumps(figures), encoding="utf-8")

    def entry(self, key: str) -> Path | None:
        """The folder that was kept under `key`, or None."""
        path = self.folder / key
        return path if path.is_dir() else None

    @contextmanager
    def new_entry(self, key: str) -> Iterator[Path]:
        """A folder to fill, which is kept under `key` when the block ends well; the same of a run beside this may stay.

        Raises:
            OSError: as `danet.files.scratch_beside`.
        """
        with scratch_beside(self.folder / key) as scratch:
            filled = scratch / key
            filled.mkdir()
            yield filled
            self._known.add(key)
            shutil.rmtree(self.folder / key, ignore_errors=True)
            try:
                filled.rename(self.folder / key)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # else the other run was faster
                    raise

"""A detector's network in ONNX Runtime or OpenVINO: tensors in, tensors out, and what the file says of itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from danet.backends.registry import is_installed, part_with_openvino
from danet.errors import DetectorError, InputError

RUNTIMES = {
    "onnxruntime": "danet.detectors.onnxruntime_network",
    "openvino": "danet.detectors.openvino_network",
}


@dataclass(frozen=True)
class TensorFacts:
    """An input or output as the file declares it."""

    name: str
    shape: tuple[int | None, ...] | None
    """None: a dynamic dimension; None as a whole: a dynamic rank."""
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class NetworkFacts:
    """What a model file says of itself."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    metadata: Mapping[str, str]
    """ONNX's metadata_props; an IR's rt_info `model_info` and danet's spec."""


class Network(Protocol):
    """A loaded network; `run` may be called from several threads."""

    facts: NetworkFacts

    def run(self, blob: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs in the file's order, the caller's to keep.

        Raises:
            DetectorError: the runtime refused the input or failed, or another process opened the network.
        """
        ...


def refuse_in_child(opened_in: int) -> None:
    """Keeps a network from being run in a process that was forked off the one that opened it (its id).

    Raises:
        DetectorError: this is such a process.
    """
    if opened_in != os.getpid():
        raise DetectorError(
            f"the detector was made in process {opened_in} and process {os.getpid()} was forked off since, without the "
            "threads that run it; make the detector in the child, or start it by 'spawn'"
        )


class OpenNetwork(Protocol):
    """The function `load` of each runtime's module."""

    def __call__(self, path: Path, threads: int | None) -> Network:
        """Open a model file.

        Raises:
            DetectorError: it cannot be read.
            MissingExtraError: the runtime is not installed.
        """
        ...


def open_network(path: Path, backend: str | None, threads: int | None) -> Network:
    """Open an ONNX file or an IR.

    Args:
        path: .onnx or .xml.
        backend: "onnxruntime" or "openvino". None: ONNX Runtime for .onnx where it is installed, else
            OpenVINO, which reads ONNX by itself.
        threads: cores to use; all if None.

    Raises:
        DetectorError: no such file, another suffix, damaged, or not for that backend.
        InputError: no such backend, or `threads` below 1.
        MissingExtraError: the backend that was asked for is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in (".onnx", ".xml"):
        raise DetectorError(f"{path}: suffix {path.suffix!r}, expected .onnx or an OpenVINO IR's .xml")
    try:
        missing = not path.is_file()
    except OSError as error:  # a folder above it may not be searched, or the name is too long
        raise DetectorError(f"{path}: {error.strerror or error}") from error
    if missing:
        raise DetectorError(f"{path}: no such file")
    if threads is not None and threads < 1:
        raise InputError(f"threads {threads!r}, expected 1 or more, or None for all cores")
    name = backend or _default_backend(suffix)
    if name not in RUNTIMES:
        raise InputError(f"backend {backend!r}, expected one of {', '.join(RUNTIMES)}")
    if suffix == ".xml" and name != "openvino":
        raise DetectorError(f"{path}: an OpenVINO IR, which backend {name!r} cannot read; use backend='openvino'")
    load: OpenNetwork = part_with_openvino(RUNTIMES[name], f"the detector backend {name!r}").load
    return load(path, threads)


def _default_backend(suffix: str) -> str:
    if suffix == ".onnx" and is_installed("onnxruntime"):
        return "onnxruntime"
    return "openvino"

"""A detector by its name or file, as commands and configuration files give it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from danet.detectors.base import Detector
from danet.detectors.hog_detector import HogDetector
from danet.detectors.onnx_detector import OnnxDetector
from danet.errors import DetectorError, InputError

NAMED: dict[str, Callable[..., Detector]] = {"hog": HogDetector}
SUFFIXES = (".onnx", ".xml")


def open_detector(name_or_file: str | os.PathLike[str], *, threads: int | None = None, **options: Any) -> Detector:
    """A person detector.

    Args:
        name_or_file: "hog", or a detector's .onnx, or an OpenVINO IR's .xml.
        threads: cores to use; all if None. HOG runs in OpenCV's threads, which `PoseEstimator(threads=)` sets.
        options: of `HogDetector` or `OnnxDetector`.

    Raises:
        DetectorError: no such name or file, damaged, no detector, or not recognised.
        InputError: an option that the detector does not have, or out of its range.
        MissingExtraError: the backend that was asked for is not installed.
    """
    if not isinstance(name_or_file, str | os.PathLike):
        raise InputError(f"detector of type {type(name_or_file).__name__}, expected a name or a file; see as_detector")
    name = os.fspath(name_or_file)
    if name in NAMED:
        _refuse_unknown(NAMED[name], name, options)
        return NAMED[name](**options)
    if Path(name).suffix.lower() in SUFFIXES:
        _refuse_unknown(OnnxDetector, name, options)
        return OnnxDetector(name, threads=threads, **options)
    raise DetectorError(
        f"no detector {name!r}; expected {', '.join(map(repr, NAMED))}, or a detector's file ({' or '.join(SUFFIXES)})"
    )


def _refuse_unknown(kind: Callable[..., Detector], name: str, options: dict[str, Any]) -> None:
    known = [key for key in inspect.signature(kind).parameters if key not in ("model", "threads")]
    if unknown := [key for key in options if key not in known]:
        raise InputError(f"detector {name!r}: no option {', '.join(unknown)}; there are {', '.join(known)}")

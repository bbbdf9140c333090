"""Models and pictures that come with the package."""

from __future__ import annotations

from pathlib import Path

from danet.backends.registry import is_installed

_FOLDER = Path(__file__).parent
PORTRAIT = _FOLDER / "portrait.jpg"
"""Eileen Collins, NASA, 1999; public domain. From scikit-image's data folder ("astronaut")."""
PORTRAIT_BOX = (20.0, 15.0, 375.0, 512.0)
"""Around the person, xyxy in pixels of the portrait."""


_SUFFIXES = {"tflite": ".tflite"}
"""By backend; the others open the IR."""


def embedded_model(name: str, backend: str | None = None) -> Path | None:
    """The file of an embedded model such as "danet72" for a backend; None: no such model.

    If no backend is named OpenVINO's, but where that is not installed and TFLite's library is. The TFLite file is there
    for such boards: the same weights, also in half precision.
    """
    if name not in embedded_names():
        return None
    if not backend and not is_installed("openvino") and is_installed("tflite"):
        backend = "tflite"
    return _FOLDER / f"{name}{_SUFFIXES.get(backend or '', '.xml')}"


def is_embedded(path: Path) -> bool:
    """Whether a file is one of the package's own."""
    return path.parent == _FOLDER


def embedded_names() -> list[str]:
    """Names of the embedded models."""
    return sorted(path.stem for path in _FOLDER.glob("*.xml"))

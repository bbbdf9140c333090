"""Models and pictures that come with the package."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent
PORTRAIT = _FOLDER / "portrait.jpg"
"""Eileen Collins, NASA, 1999; public domain. From scikit-image's data folder ("astronaut")."""
PORTRAIT_BOX = (20.0, 15.0, 375.0, 512.0)
"""Around the person, xyxy in pixels of the portrait."""


def embedded_model(name: str) -> Path | None:
    """The file of an embedded model such as "danet72", or None."""
    return _FOLDER / f"{name}.xml" if name in embedded_names() else None


def embedded_names() -> list[str]:
    """Names of the embedded models."""
    return sorted(path.stem for path in _FOLDER.glob("*.xml"))

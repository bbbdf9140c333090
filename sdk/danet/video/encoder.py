"""What writes an encoded video, and which one writes which file."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError, MissingExtraError

BACKENDS = {"av": "danet.video.pyav_encoder", "opencv": "danet.video.opencv_encoder"}
"""In the order in which they are tried."""


class Encoder(Protocol):
    """An open video file."""

    codec: str
    """What is written, for people to read."""

    def write(self, image: NDArray[np.uint8], time_s: float) -> None:
        """Append a frame (H, W, 3) uint8 BGR of the file's size; its time stamp is above the last one's.

        Raises:
            OSError: it cannot be written.
        """
        ...

    def close(self) -> None:
        """Finish the file. Called once.

        Raises:
            OSError: it cannot be finished.
        """
        ...


class EncoderModule(Protocol):
    """What the module of a backend has."""

    def codecs(self) -> dict[str, str]:
        """The codec for each file suffix that can be written here.

        Raises:
            MissingExtraError: the library is not installed.
        """
        ...

    def open_encoder(self, path: Path, codec: str, size: tuple[int, int], fps: float, threads: int | None) -> Encoder:
        """Open a file of (height, width), both even."""
        ...


def choose_encoder(path: Path, backend: str | None) -> tuple[EncoderModule, str]:
    """The backend that writes files of this suffix, and its codec.

    Args:
        path: its suffix decides.
        backend: "av" or "opencv"; None: PyAV where it is installed and can, else OpenCV.

    Raises:
        InputError: no such backend, or the suffix can be written by none; names those that can.
        MissingExtraError: the backend that was asked for is not installed, or cannot be loaded.
    """
    if backend is not None and backend not in BACKENDS:
        raise InputError(f"backend {backend!r}, expected one of {', '.join(BACKENDS)}")
    suffix = path.suffix.lower()
    known: set[str] = set()
    for name in [backend] if backend else BACKENDS:
        module: Any = importlib.import_module(BACKENDS[name])
        try:
            codecs = module.codecs()
        except MissingExtraError:
            if backend:
                raise
            continue
        if suffix in codecs:
            return module, codecs[suffix]
        known |= codecs.keys()
    raise InputError(
        f"{path}: videos named {suffix or '(no suffix)'} cannot be written; use {', '.join(sorted(known)) or '.avi'}"
    )

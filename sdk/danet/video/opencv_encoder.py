"""Video files by OpenCV alone: MPEG-4 Part 2 or Motion JPEG, at a constant rate."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError
from danet.utf8_name import utf8_name
from danet.video.opencv_capture import quiet_opencv

CODECS = {".avi": "MJPG", ".mkv": "mp4v", ".mov": "mp4v", ".mp4": "mp4v"}
"""H.264 is not among them: OpenCV's wheels have no encoder for it."""
LONGEST_REPEAT_S = 10.0
"""A frame is repeated for this long at most; a camera that was away for an hour leaves no hour of one picture."""

MOST_AHEAD = 1.001
"""Frames that a file may be ahead of the time stamps: with none, stamps that waver would cost frames. The thousandth is
for rounding."""


def codecs() -> dict[str, str]:
    """The codec for each suffix."""
    return CODECS


class OpenCvEncoder:
    """An open file; see `danet.video.encoder.Encoder`.

    The rate is constant, so a frame is repeated until the next one's time has come, and left out where the file is
    ahead of it by more than `MOST_AHEAD`.
    """

    def __init__(self, path: Path, codec: str, size: tuple[int, int], fps: float) -> None:
        self.codec = f"{codec} by OpenCV"
        self._fps = fps
        self._written = 0
        self._left_out = 0.0
        self._last_s = -math.inf
        self._last: NDArray[np.uint8] | None = None
        with quiet_opencv():
            name = utf8_name(str(path), InputError)
            self._writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*codec), fps, size[::-1])
        if not self._writer.isOpened():
            raise InputError(f"OpenCV cannot write {codec} video of {size[1]}x{size[0]} to a {path.suffix} file")

    def write(self, image: NDArray[np.uint8], time_s: float) -> None:
        """Append a frame (H, W, 3) uint8 BGR; one whose time is not above the last one's comes right behind that."""
        if time_s <= self._last_s:
            self._left_out = time_s * self._fps - self._written  # from here on the file counts from this time
        self._last_s = time_s
        place = time_s * self._fps - self._left_out
        missing = round(place) - self._written
        if self._last is not None and missing > 0:
            repeated = min(missing, round(LONGEST_REPEAT_S * self._fps))
            self._left_out += missing - repeated
            for _ in range(repeated):
                self._append(self._last)
        if self._written - place <= MOST_AHEAD:
            self._append(image)
        self._last = image.copy()  # the caller may draw the next frame into the same array

    def _append(self, image: NDArray[np.uint8]) -> None:
        self._writer.write(image)
        self._written += 1

    def close(self) -> None:
        """Write the index."""
        self._writer.release()


def open_encoder(path: Path, codec: str, size: tuple[int, int], fps: float, threads: int | None) -> OpenCvEncoder:
    """Open a file of (height, width), both even; these codecs' threads cannot be set.

    Raises:
        InputError: OpenCV refuses.
    """
    return OpenCvEncoder(path, codec, size, fps)

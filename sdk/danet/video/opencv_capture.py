"""cv2.VideoCapture opened with time limits and without its chatter on stderr, and what it states of a video."""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2

from danet.errors import SourceError
from danet.utf8_name import utf8_name

OPEN_S = 10.0
"""An address must answer within this time."""
LONGEST_MS = 2**31 - 1
"""OpenCV's properties are C integers."""
LOG_LEVEL = "OPENCV_FFMPEG_LOGLEVEL"
"""The environment variable by which OpenCV chooses FFmpeg's log level when it opens the first video."""


class _Depth:
    """How many calls want OpenCV quiet, and the log level to go back to."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.level = 0


_DEPTH = _Depth()
_SILENT = 0
"""OpenCV's LOG_LEVEL_SILENT."""


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keeps OpenCV and its FFmpeg from writing to stderr; what they say is in danet's own errors, in a sentence.

    FFmpeg reports each damaged packet on a line of its own. A user who has set OPENCV_FFMPEG_LOGLEVEL gets them.
    """
    logging: Any = getattr(cv2.utils, "logging", cv2)  # cv2 itself before OpenCV 4.13
    with _DEPTH.lock:
        if _DEPTH.count == 0:
            _DEPTH.level = logging.getLogLevel()
            logging.setLogLevel(_SILENT)
        _DEPTH.count += 1
        os.environ.setdefault(LOG_LEVEL, "-8")
    try:
        yield
    finally:
        with _DEPTH.lock:
            _DEPTH.count -= 1
            if _DEPTH.count == 0:
                logging.setLogLevel(_DEPTH.level)


def open_file(path: str) -> cv2.VideoCapture | None:
    """A video file, absolute path; None where OpenCV cannot open it. Turned upright by its rotation metadata.

    Raises:
        SourceError: a path that is no UTF-8.
    """
    with quiet_opencv():
        return _upright(cv2.VideoCapture(utf8_name(path, SourceError)))


def open_address(address: str, read_s: float) -> cv2.VideoCapture:
    """A network stream; reads give up after `read_s` seconds (`math.inf`: 24 days).

    Raises:
        SourceError: it does not answer, or is no video, or no UTF-8.
    """
    name = utf8_name(address, SourceError, without_password(address))
    read_ms = int(min(1000 * read_s, LONGEST_MS))
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(1000 * OPEN_S), cv2.CAP_PROP_READ_TIMEOUT_MSEC, read_ms]
    with quiet_opencv():
        capture = _upright(cv2.VideoCapture(name, cv2.CAP_FFMPEG, limits))
    if capture is None:
        raise SourceError(
            f"{without_password(address)}: no video can be opened there (waited for up to {OPEN_S:.0f} s); check the "
            "address, user and password (signs such as @ / ? # percent-encoded), and that the device is on and can be "
            "reached"
        )
    return capture


def open_device(device: int | str) -> cv2.VideoCapture | None:
    """A camera by index, or by its device file (/dev/video0); None where it cannot be opened."""
    with quiet_opencv():
        if isinstance(device, int):
            return _upright(cv2.VideoCapture(device))
        return _upright(cv2.VideoCapture(utf8_name(device, SourceError), cv2.CAP_V4L2))


def _upright(capture: cv2.VideoCapture) -> cv2.VideoCapture | None:
    if not capture.isOpened():
        capture.release()
        return None
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def stated_fps(capture: cv2.VideoCapture) -> float | None:
    """Frames to a second; None where the container does not tell.

    From 1000 on it is no rate but the unit of time stamps, as in the WebM files that browsers record.
    """
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if math.isfinite(fps) and 0 < fps < 1000 else None


def stated_frames(capture: cv2.VideoCapture) -> int | None:
    """How many frames; None where unknown (OpenCV gives 0 or a large negative number). Often only an estimate."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and 0 < count < 1e9 else None


_FIELDS = re.compile(r"(?=[?&;/#_][^?&;/#_=]*=)")
"""Where a field of an address begins; cameras take them in the query and, divided by _, in the path."""
_SHOWN = {
    *("camera", "cam", "ch", "channel", "id", "stream", "streamid", "subtype", "track", "trackid", "profile", "page"),
    *("codec", "format", "type", "video", "quality", "rate", "fps", "framerate", "latency", "live", "loop", "timeout"),
    *("res", "resolution", "size", "height", "width", "proto", "transport", "unicast"),
}
"""Fields that let nobody in; any other may be a password, whatever its name."""


def without_password(address: str) -> str:
    """An address for messages and logs: without user and password, with *** for fields that may be such (?pwd=...).

    With a part of the path where that holds an @: a password may hold anything, / and @ too. Where a field comes
    before an @, either may be the password's, and the scheme alone is left.
    """
    scheme, mark, rest = address.partition("://")
    login, at, place = rest.rpartition("@")
    if at and _FIELDS.search(login):
        return f"{scheme}{mark}***"
    host, *fields = _FIELDS.split(place)
    return scheme + mark + host + "".join(map(_shown, fields))


def _shown(field: str) -> str:
    name, _, _ = field.partition("=")
    return field if name[1:].lower() in _SHOWN else f"{name}=***"

"""Frames of a video file, decoded by OpenCV's FFmpeg."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.errors import SourceError
from danet.video.container import PLAYLISTS, is_playlist, missing_part
from danet.video.frame import Frame
from danet.video.opencv_capture import open_address, open_file, stated_fps, stated_frames, without_password
from danet.video.timeline import Timeline

FALLBACK_FPS = 25.0
"""Where neither time stamps nor a rate are stated."""
ATTEMPTS, ATTEMPTS_S = 64, 5.0
"""Reads that may fail in a row before it is the end. One stands for up to 64 packets that could not be decoded."""
SHORT = 5
"""Frames fewer than stated are nothing to report: encoders and containers count the last ones differently."""
READ_S = 30.0
"""A file behind an address may take this long for a frame."""
FINITE_SCHEMES = ("http", "https")
"""A camera or a file may be behind these; other addresses are of streams."""
COUNTED = (".3gp", ".avi", ".m4v", ".mov", ".mp4")
"""Files that state how many frames they have. Of others, playlists and names without a suffix too, OpenCV's count is
duration times rate, and a longer sound counts in that."""


class FileSource:
    """All frames of a video file, or of a finite video behind an address; iterating again starts again.

    Frames that cannot be decoded are skipped. A frame whose size differs from the one before is given as it is.

    Args:
        location: a path, or an address with "://".

    Raises:
        SourceError: no such file, or not a video.
    """

    live = False
    dropped = 0

    def __init__(self, location: str | Path) -> None:
        address = str(location) if "://" in str(location) else None
        self.name = without_password(address) if address else str(location)
        self._path = None if address else Path(location).absolute()
        self.paths = (self._path,) if self._path else ()
        """What is read on this machine."""
        self._address = address
        self._lock = threading.Lock()
        self.closed = False
        """Whether `close` was called: a closed source gives no more frames."""
        self._capture: cv2.VideoCapture | None = self._open()
        self._unused = True
        self.fps = stated_fps(self._capture)
        self.frames = stated_frames(self._capture)
        self._stalled = False
        """Whether reading ended because nothing came for a time."""
        self.corrupt = 0
        """Places so far where frames could not be decoded and the decoder went on; small damage it conceals."""
        self.notes: tuple[str, ...] = ()
        """What was wrong with a file that could be read to its end all the same, for people to read."""

    def _open(self) -> cv2.VideoCapture:
        if self._address is not None:
            return open_address(self._address, READ_S)
        assert self._path is not None
        size = _size(self._path, self.name)
        if self._path.suffix.lower() not in PLAYLISTS and is_playlist(self._path):
            raise SourceError(
                f"{self.name}: no video but a playlist, which names other files; give it a suffix that says so "
                f"({', '.join(PLAYLISTS)}), if you trust it"
            )
        capture = open_file(str(self._path))
        if capture is None:
            reason = missing_part(self._path) or f"{size} bytes"
            raise SourceError(f"{self.name}: not a video that OpenCV can open ({reason})")
        return capture

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order; time stamps are the file's own, from 0 at the first frame.

        Raises:
            SourceError: nothing can be decoded; or the file is cut off or the connection to it lost, raised after the
                last good frame.
        """
        capture = self._start()
        if capture is None:
            return
        self.corrupt, self.notes, self._stalled = 0, (), False
        timeline = Timeline(1 / (self.fps or FALLBACK_FPS))
        count = 0
        while (read := self._read(capture)) is not None:
            image, position_ms = read
            yield Frame(image, count, timeline.next(position_ms))
            count += 1
        if self._capture is capture and not self.closed:
            self._free(capture)
            self._ended(count, timeline)

    def _start(self) -> cv2.VideoCapture | None:
        """A capture at the first frame; an iteration that still goes on ends."""
        with self._lock:
            if self.closed:
                return None
            if not self._unused:
                if self._capture is not None:
                    self._capture.release()
                self._capture = self._open()
            self._unused = False
            return self._capture

    def _read(self, capture: cv2.VideoCapture) -> tuple[NDArray[np.uint8], float] | None:
        """The next frame and its position in milliseconds; None at the end, and when closed."""
        try:
            with self._lock:
                if self.closed or self._capture is not capture:
                    return None
                return self._decode(capture)
        except cv2.error as error:
            raise SourceError(f"{self.name}: OpenCV failed to read a frame ({error.err})") from error
        finally:
            if self.closed:  # while this thread was in OpenCV, so that `close` could not free the capture
                self._free(capture)

    def _decode(self, capture: cv2.VideoCapture) -> tuple[NDArray[np.uint8], float] | None:
        start = time.monotonic()
        for attempt in range(ATTEMPTS):
            done, image = capture.read()
            if done:
                self.corrupt += attempt > 0
                return np.asarray(image, np.uint8), capture.get(cv2.CAP_PROP_POS_MSEC)
            if self.closed:
                break
            if time.monotonic() - start > ATTEMPTS_S:
                self._stalled = True
                break
        return None

    def _ended(self, count: int, timeline: Timeline) -> None:
        missing = self._missing_part()
        if count == 0:
            silent = f"nothing came for more than {ATTEMPTS_S:g} s" if self._stalled else "OpenCV gives no reason"
            raise SourceError(f"{self.name}: none of its frames can be decoded ({missing or silent})")
        if missing and count != self.frames:
            raise SourceError(f"{self.name}: cut off: {missing}; it ends after frame {count - 1}")
        if self._address is not None:
            self._refuse_broken_off(self._address, count, timeline)
        lengthless = self._address is not None and self.frames is None
        notes = ["it states no length: whether it was all there cannot be told"] if lengthless else []
        notes += [f"damaged places that were skipped: {self.corrupt}"] if self.corrupt else []
        # where the rate varies, the stated count is only duration times a nominal rate
        if self.frames is not None and count < self.frames - SHORT and (timeline.steady or self._address):
            lost = "the connection lost, " if self._address else ""
            why = f"{lost}damaged, or trimmed without re-encoding"
            notes.append(f"it states {self.frames} frames and gives {count}: {why}")
        self.notes = tuple(f"{self.name}: {note}" for note in notes)

    def _refuse_broken_off(self, address: str, count: int, timeline: Timeline) -> None:
        """Of a video behind an address, whose end and a lost connection look the same to OpenCV."""
        ends = f"{self.name}: the connection ended after frame {count - 1}"
        if self._stalled:
            raise SourceError(f"{ends}: nothing came for more than {ATTEMPTS_S:g} s")
        parts = urlsplit(address)
        if self.frames is None and parts.scheme.lower() not in FINITE_SCHEMES:
            raise SourceError(f"{ends}; a stream that states no length has no end of its own")
        counted = timeline.steady and parts.path.lower().endswith(COUNTED)
        if counted and self.frames is not None and count + ATTEMPTS * self.corrupt < self.frames - SHORT:
            raise SourceError(
                f"{ends}, where {self.frames} frames are stated; was it lost, or is the file cut off or trimmed?"
            )

    def _missing_part(self) -> str | None:
        try:
            return missing_part(self._path) if self._path else None
        except OSError:  # deleted while it was played: nothing is known of it any more
            return None

    def _free(self, capture: cv2.VideoCapture) -> None:
        with self._lock:
            capture.release()
            if self._capture is capture:
                self._capture = None

    def close(self) -> None:
        """Free the file; iterations end. From any thread and from signal handlers; twice does no harm."""
        self.closed = True
        # never waits: a signal handler may run in the very thread that holds the lock and is within OpenCV
        if self._lock.acquire(blocking=False):
            try:
                if self._capture is not None:
                    self._capture.release()
                self._capture = None
            finally:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _size(path: Path, name: str) -> int:
    """Bytes of a file, which messages call `name`."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SourceError(f"{name}: a folder, not a video file")
        if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for its writer
            raise SourceError(f"{name}: not a regular file; a video is read more than once, so save it to one")
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise SourceError(f"{name}: no such file") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{name}: {getattr(error, 'strerror', None) or error}") from error
    if status.st_size == 0:
        raise SourceError(f"{name}: an empty file, not a video")
    return status.st_size

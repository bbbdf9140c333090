"""Annotated frames into a video file."""

from __future__ import annotations

import atexit
import errno
import math
import os
import secrets
import shutil
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.detectors.letterbox import fitted
from danet.errors import InputError
from danet.files import NAME_LENGTH
from danet.forked import keep_in_children
from danet.frame import as_bgr
from danet.video.encoder import Encoder, choose_encoder

MIB = 1 << 20


FPS = 25.0
"""Of frames without time stamps, where nobody says otherwise."""
ENDING_S = 2.0
"""How long the end of the program waits for a thread that writes."""


class VideoWriter:
    """Writes frames to .mp4, .mov, .mkv (H.264 where PyAV is installed: the extra `video`), .m4v (with PyAV) or .avi.

    The file is written beside, under a name that begins with a dot, and renamed by `close`: also after an error,
    so that what was done is kept and plays. Nothing appears if no frame was written.

    Args:
        path: the suffix chooses the container.
        size: (height, width); that of the first frame if None. Frames of another size are letterboxed into it, and
            odd sides are made even by repeating the last row or column, which H.264 needs.
        fps: frames to a second, where frames come without time stamps; None, as of a source that states none, is 25.
            OpenCV's files have this rate throughout: frames are repeated and left out so that they last as long as the
            time stamps say.
        backend: "av" or "opencv"; PyAV where it is installed and can if None.
        threads: for the encoder; it chooses if None.
        reserve_bytes: kept free on the disk, so that the file can be finished when the disk runs full. OpenCV would
            not even tell.

    A context manager. A writer that is open when the program ends, or that nobody holds any more, finishes its file.

    Raises:
        InputError: a suffix that cannot be written, or an argument out of its range.
        MissingExtraError: backend "av" without PyAV.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int] | None = None,
        fps: float | None = FPS,
        *,
        backend: str | None = None,
        threads: int | None = None,
        reserve_bytes: int = 8 * MIB,
    ) -> None:
        self.path = Path(path)
        fps = FPS if fps is None else fps
        if not (math.isfinite(fps) and 0 < fps <= 1000):
            raise InputError(f"fps {fps}, expected more than 0 and up to 1000")
        if size is not None and min(size) < 1:
            raise InputError(f"size {size}, expected (height, width) in pixels")
        if self.path.is_dir():
            raise InputError(f"{self.path} is a folder, expected a video file to write")
        self._module, self._codec = choose_encoder(self.path, backend)
        self._size, self._fps, self._threads, self._reserve = size, float(fps), threads, reserve_bytes
        self.frames = 0
        """Taken so far."""
        self._first_s, self._last_s = 0.0, -math.inf
        self._encoder: Encoder | None = None
        self._lock = threading.RLock()
        """Of the encoder, since a program may end while another thread writes. A signal's handler may close as well."""
        name = f".{self.path.stem[:NAME_LENGTH]}.{secrets.token_hex(4)}{self.path.suffix}"
        # absolute: of a relative name FFmpeg takes what is before the first colon for a protocol
        self._temporary = self.path.absolute().with_name(name)
        with _named(self.path):
            self._temporary.parent.mkdir(parents=True, exist_ok=True)
            self._temporary.touch()  # a folder that cannot be written is known now, not after the first poses
        self._closed = False
        _OPEN.add(self)
        keep_in_children(self)

    @property
    def codec(self) -> str:
        """What is written, for people to read."""
        return self._encoder.codec if self._encoder else self._codec

    def write(self, image: Any, time_s: float | None = None) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 BGR; also what `danet.frame.as_bgr` takes.
            time_s: when it is shown, seconds, above the last one's; by `fps` if None. One that is not above is
                moved to just behind the last one. The video begins with its first frame, whatever the time of that.

        Raises:
            InputError: no picture, a time that is not finite or negative, or the writer is closed.
            OSError: disk full or the like, with the file's name; `close` keeps the frames before.
        """
        picture = as_bgr(image)
        with self._lock:
            self._write(picture, time_s)

    def _write(self, picture: NDArray[np.uint8], time_s: float | None) -> None:
        if self._closed:
            raise InputError(f"{self.path}: this writer is closed; make a new one")
        if time_s is None:
            time_s = 0.0 if self.frames == 0 else self._last_s + 1 / self._fps
        if not (math.isfinite(time_s) and time_s >= 0):
            raise InputError(f"time_s {time_s}, expected seconds from 0 on")
        if self.frames == 0:
            self._first_s = time_s
        with _named(self.path):
            self._check_space()
            self._open(picture).write(self._fit(picture), time_s - self._first_s)
        self._last_s = max(time_s, self._last_s)
        self.frames += 1

    @property
    def _opened(self) -> Encoder | None:
        return self._encoder

    def _open(self, picture: NDArray[np.uint8]) -> Encoder:
        if self._encoder is None:
            self._size = self._size or (picture.shape[0], picture.shape[1])
            height, width = self._size
            even = (height + height % 2, width + width % 2)
            self._encoder = self._module.open_encoder(self._temporary, self._codec, even, self._fps, self._threads)
        return self._encoder

    def _fit(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        assert self._size is not None
        height, width = self._size
        if picture.shape[:2] != self._size:
            picture = fitted((picture.shape[0], picture.shape[1]), self._size, "centre").apply(picture)
        if height % 2 or width % 2:
            border = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
            picture = np.asarray(border, np.uint8)
        return np.ascontiguousarray(picture)

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._temporary.parent).free
        if free < self._reserve:
            reason = f"{free / MIB:.1f} MiB left, {self._reserve / MIB:.1f} MiB are kept to finish the file"
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({reason})")

    def close(self) -> None:
        """Finish the file and give it its name. Closing twice does no harm.

        Raises:
            OSError: it could not be finished; it has its name nevertheless, and plays if it is an H.264 file. Or the
                encoder wrote nothing, as on a disk whose quota is used up: then an older file stays.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            _OPEN.discard(self)
            try:
                if self._encoder is not None:
                    with _named(self.path):
                        self._encoder.close()
            finally:
                with _named(self.path):
                    self._rename()

    def _finish(self) -> None:
        """Close at the end of the program, if no thread hangs in `write`; what fails is told."""
        if not self._lock.acquire(timeout=ENDING_S):
            return
        try:
            self.close()
        except Exception as error:  # the encoder's, or of a full disk
            warnings.warn(f"{self.path}: {error}", RuntimeWarning, stacklevel=2)
        finally:
            self._lock.release()

    def _rename(self) -> None:
        if self.frames == 0 or self._temporary.stat().st_size == 0:  # what failed costs no older video
            self._temporary.unlink(missing_ok=True)
            if self.frames and sys.exception() is None:
                raise OSError(errno.EIO, f"{os.strerror(errno.EIO)} (the encoder wrote nothing)")
            return
        with self._temporary.open("rb+") as file:
            os.fsync(file.fileno())
        self._temporary.replace(self._temporary.with_name(self.path.name))

    def __del__(self) -> None:
        """Finish the file of a writer that nobody can close any more; Python warns as of its own files."""
        if not getattr(self, "_closed", True):
            try:
                warnings.warn(f"unclosed {self.path}", ResourceWarning, source=self, stacklevel=2)
            finally:
                self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # a full disk has been told by `write`; that closing fails as well must not hide it
        with suppress(OSError) if error is not None else nullcontext():
            self.close()


_OPEN: weakref.WeakSet[VideoWriter] = weakref.WeakSet()


def _finish_all() -> None:
    """At the end of the program, while encoders still work."""
    for writer in tuple(_OPEN):
        writer._finish()


def _leave_to_parent() -> None:
    """In a forked child, whose copies of writers are closed: the files are the parent's."""
    for writer in tuple(_OPEN):
        writer._closed = True
        writer._lock = threading.RLock()  # a thread that is not here may hold it
    _OPEN.clear()


atexit.register(_finish_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """OSErrors raised in the block get the file's name that the user knows, not that of the file beside."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error

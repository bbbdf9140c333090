"""A recorded source played at its own speed, as a stand-in for a camera."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from danet.video.capture_thread import Limits
from danet.video.frame import Frame, Source
from danet.video.latest_reader import LatestFrameReader


class PacedCapture:
    """Gives each frame of a source when its time has come; a `danet.video.capture_thread.Capture`.

    Args:
        source: not a live one; it is this one's to close.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._frames = iter(source)
        self._start: float | None = None
        self._begun = threading.Event()
        self._stopped = threading.Event()

    def begin(self) -> None:
        """Start to play: a recording, unlike a camera, loses nothing as long as nobody looks."""
        self._begun.set()

    def stop(self) -> None:
        """Whoever waits in `read` goes on. From any thread."""
        self._stopped.set()
        self._begun.set()

    def read(self) -> tuple[bool, Any]:
        """Waits for `begin`, and for the next frame's time.

        Raises:
            EOFError: the source has ended; with a text, it failed.
        """
        self._begun.wait()
        if self._stopped.is_set():
            return False, None
        try:
            frame = next(self._frames, None)
        except BaseException as error:  # an iterable of the user's own may raise anything; connecting anew is no help
            told = str(error) if isinstance(error, Exception) else f"{type(error).__name__}: {error}"
            raise EOFError(told or type(error).__name__) from error
        if frame is None:
            raise EOFError
        now = time.monotonic()
        if self._start is None:
            self._start = now - frame.time_s
        self._stopped.wait(max(0.0, self._start + frame.time_s - now))
        return True, frame.image

    def release(self) -> None:
        """Free the source."""
        self._source.close()


class PacedReader(LatestFrameReader):
    """A recorded source that is watched like a camera: from its first frame, which is given once iteration begins.

    Args:
        source: not a live one; it is this one's to close.
        limits: times in seconds.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self._player = PacedCapture(source)
        # at the end of the program too, which waits for its thread
        weakref.finalize(self, self._player.stop)
        super().__init__(lambda: self._player, name=source.name, fps=source.fps, limits=limits)

    def __iter__(self) -> Iterator[Frame]:
        """As `LatestFrameReader`'s."""
        self._asked_for = True  # before the first frame can come
        self._player.begin()
        yield from super().__iter__()

    def close(self) -> None:
        """Free the source; a waiting iteration ends. From any thread; twice does no harm."""
        self._player.stop()
        super().close()

"""A recorded source played at its own speed, as a stand-in for a camera."""

from __future__ import annotations

import threading
import time
from typing import Any

from danet.video.frame import Source


class PacedCapture:
    """Gives each frame of a source when its time has come; a `danet.video.capture_thread.Capture`.

    Args:
        source: not a live one; it is this one's to close.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._frames = iter(source)
        self._start: float | None = None
        self._released = threading.Event()

    def read(self) -> tuple[bool, Any]:
        """Waits for the next frame's time.

        Raises:
            EOFError: the source has ended; with a text, it failed.
        """
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
        self._released.wait(max(0.0, self._start + frame.time_s - now))
        return True, frame.image

    def release(self) -> None:
        """Free the source; whoever waits for a frame's time goes on."""
        self._released.set()
        self._source.close()

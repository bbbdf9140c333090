"""The newest frame of a camera or stream: never a queue, so that nothing lags."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from danet.errors import DanetError, SourceError
from danet.frame import as_bgr
from danet.video.capture_thread import CaptureThread, Connect, Limits
from danet.video.frame import Frame
from danet.video.timeline import Arrivals

POLL_S = 0.1
"""How often a waiting iteration looks whether the camera hangs."""
MOST_HUNG = 4
"""Threads left behind in a camera's code before no more are started."""


class LatestFrameReader:
    """Reads a camera all the time in a thread of its own and keeps the newest frame only.

    Frames that come while nobody asks for one are counted in `dropped`. Index and time begin with the first
    frame after iteration has begun; time is a monotonic clock at arrival. A lost connection, and a camera whose code
    hangs, is connected anew with pauses that grow from 0.5 s to 8 s.

    Args:
        connect: opens the camera: `lambda: cv2.VideoCapture(0)`, or anything that gives a `Capture`. It is called
            in the reading thread, each time that a connection is made.
        name: for messages.
        fps: frames to a second, where known.
        limits: times in seconds.

    A context manager.

    Raises:
        SourceError: the first connection failed. Later ones are tried again.
    """

    live = True
    frames: int | None = None

    def __init__(
        self, connect: Connect, *, name: str = "camera", fps: float | None = None, limits: Limits | None = None
    ) -> None:
        self.name = name
        self.fps = fps
        self.limits = limits or Limits()
        self.dropped = 0
        """Frames that nobody took."""
        self.last_error: str | None = None
        """Why the connection was lost last."""
        self._connect = connect
        self._news = threading.Condition()
        self._connections = 0
        self._failure: BaseException | None = None
        self._end: EOFError | None = None
        self.closed = False
        """Whether `close` was called: a closed source gives no more frames."""
        self._newest: Frame | None = None
        self._asked_for = False
        self._count = 0
        self._arrivals = Arrivals()
        self._last_at = time.monotonic()
        self._hung: list[CaptureThread] = []
        self._process = os.getpid()
        self._thread = self._new_thread()
        try:
            self._await_connection()
        except BaseException:  # Ctrl-C as well: nobody else could free the camera
            self.close()
            raise

    def _new_thread(self) -> CaptureThread:
        """From now on what other threads tell is not listened to."""
        self._thread = thread = CaptureThread(self._connect, self, self.limits)
        thread.start()
        return thread

    def _await_connection(self) -> None:
        with self._news:
            limit = min(self.limits.open_s, threading.TIMEOUT_MAX)
            self._news.wait_for(lambda: self._connections or self._failure, limit)
            connected, failure = self._connections > 0, self._failure
        if connected:
            return
        if isinstance(failure, DanetError):
            raise failure
        reason = f"raised {_text(failure)}" if failure else f"did not return within {self.limits.open_s:g} s"
        raise SourceError(f"{self.name}: connecting {reason}") from failure

    @property
    def reconnects(self) -> int:
        """How many times a lost connection was made anew."""
        return max(self._connections - 1, 0)

    def __iter__(self) -> Iterator[Frame]:
        """The newest frame each time, waiting for one that was not given yet; until `close`.

        Raises:
            SourceError: no frame for `limits.give_up_s`, in spite of new connections; the reader is closed then.
            InputError: the camera gives what is no picture.
        """
        self._asked_for = True
        try:
            while (frame := self._next()) is not None:
                yield replace(frame, image=as_bgr(frame.image))
        except SourceError:
            self.close()
            raise

    def _next(self) -> Frame | None:
        asked_at = time.monotonic()
        with self._news:
            while not self.closed:
                frame, self._newest = self._newest, None
                if frame is not None:
                    return frame
                if self._end is not None:
                    if isinstance(cause := self._end.__cause__, Exception) and not isinstance(cause, EOFError):
                        raise cause
                    if str(self._end):
                        raise SourceError(str(self._end)) from self._end
                    return None
                self._look_after(asked_at)
                self._news.wait(POLL_S)
        return None

    def _look_after(self, asked_at: float) -> None:
        if os.getpid() != self._process:
            raise SourceError(f"{self.name}: opened in another process; a forked child opens its own")
        # what came before the question does not count: an app that was busy for a minute gives the camera its time
        if time.monotonic() - max(asked_at, self._last_at) > self.limits.give_up_s:
            silent, reason = time.monotonic() - self._last_at, self.last_error or "no error was told"
            raise SourceError(
                f"{self.name}: no frame for {silent:.0f} s, connected anew {self.reconnects} times ({reason}); "
                "check the camera, its cable or network"
            )
        if self._thread.hangs():
            self._leave_behind()

    def _leave_behind(self) -> None:
        self._hung = [thread for thread in self._hung if thread.is_alive()]
        if len(self._hung) == MOST_HUNG:
            return
        self.last_error = "the camera's code hung"
        self._thread.stopping.set()
        self._hung.append(self._thread)
        self._new_thread()

    def connected(self, thread: CaptureThread) -> None:
        """Called by the reading thread."""
        with self._news:
            if thread is self._thread:
                self._connections += 1
                self._news.notify_all()

    def arrived(self, thread: CaptureThread, image: Any) -> None:
        """Called by the reading thread."""
        now = time.monotonic()
        with self._news:
            if thread is not self._thread or self.closed:
                return
            self._last_at = now
            if not self._asked_for:
                return
            self.dropped += self._newest is not None
            self._newest = Frame(image, self._count, self._arrivals.next(now))
            self._count += 1
            self._news.notify_all()

    def failed(self, thread: CaptureThread, error: BaseException) -> None:
        """Called by the reading thread."""
        with self._news:
            if thread is self._thread:
                self._failure = error
                self.last_error = _text(error)
                self._news.notify_all()

    def ended(self, thread: CaptureThread, error: EOFError) -> None:
        """Called by the reading thread."""
        with self._news:
            if thread is self._thread:
                self._end = error
                self._news.notify_all()

    def close(self) -> None:
        """Free the camera; a waiting iteration ends. From any thread; twice does no harm."""
        with self._news:
            self.closed = True
            self._newest = None
            self._thread.stopping.set()
            self._news.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=1)  # one that hangs in the camera's code ends when that does

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _text(error: BaseException | None) -> str:
    return str(error) if isinstance(error, DanetError) else f"{type(error).__name__}: {error}"

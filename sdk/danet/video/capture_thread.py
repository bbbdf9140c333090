"""The thread that reads a camera: it connects, reads, and connects again with growing pauses."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Protocol, TypeVar

import cv2

from danet.errors import InputError

FAILING_S = 1.0
"""Reads that give nothing for this long are a lost connection; until then, damaged packets or no frame yet."""
AGAIN_S = 0.01
"""Pause between two such reads."""
ENDING_S = 1.0
"""How long the end of the program waits for cameras that nobody has closed."""

T = TypeVar("T")


class Capture(Protocol):
    """An open camera. `cv2.VideoCapture` is one; an object of your own, around a maker's SDK, needs these two."""

    def read(self) -> tuple[bool, Any]:
        """Waits for the next frame: (True, picture (H, W, 3) uint8 BGR, an array of its own), or (False, anything).

        May raise anything, which is a lost connection; an EOFError says that there will never be more.
        """
        ...

    def release(self) -> None:
        """Free the camera. Called once, in the thread that reads."""
        ...


Connect = Callable[[], Capture]
"""Opens the camera; may raise anything."""


@dataclass(frozen=True)
class Limits:
    """Times in seconds, above 0 (pauses may be 0); `math.inf`: no limit.

    Raises:
        InputError: what is no such number.
    """

    open_s: float = 11.0
    """Connecting may take this long before it counts as hung; OpenCV's own limit is 10 s."""
    stall_s: float = 5.0
    """Reading may take this long before it counts as hung."""
    give_up_s: float = 30.0
    """Without a frame for this long, the source has failed."""
    first_retry_s: float = 0.5
    """Pause before connecting again; it doubles with each attempt that gives no frame."""
    longest_retry_s: float = 8.0
    """It does not grow beyond this."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, Real) and not isinstance(value, bool)
            if not (number and (value > 0 or (value == 0 and field.name.endswith("retry_s")))):
                raise InputError(f"{field.name} is {value!r}, expected seconds above 0; math.inf: no limit")
            object.__setattr__(self, field.name, float(value))  # of NumPy's numbers threads cannot wait for all


class Listener(Protocol):
    """Whom the thread tells what happens; called from the thread."""

    def connected(self, thread: CaptureThread) -> None:
        """The camera is open."""
        ...

    def arrived(self, thread: CaptureThread, image: Any) -> None:
        """A frame is there."""
        ...

    def failed(self, thread: CaptureThread, error: BaseException) -> None:
        """Connecting or reading failed; it is tried again."""
        ...

    def ended(self, thread: CaptureThread, error: EOFError) -> None:
        """There will never be more; the thread ends."""
        ...


class CaptureThread(threading.Thread):
    """Reads until `stopping` is set. One that hangs in the camera's code cannot be ended from outside: it is left
    behind, and frees its camera as soon as that code returns.
    """

    def __init__(self, connect: Connect, listener: Listener, limits: Limits) -> None:
        super().__init__(name="danet-capture", daemon=True)
        self.stopping = threading.Event()
        self._connect = connect
        self._listener = listener
        self._limits = limits
        self._due: float | None = None

    def hangs(self) -> bool:
        """Whether the camera's code has not returned in time."""
        due = self._due
        return due is not None and time.monotonic() > due

    def run(self) -> None:
        """Connect and read, again and again."""
        pause = self._limits.first_retry_s
        while not self.stopping.is_set():
            if self._session():
                pause = self._limits.first_retry_s
            self.stopping.wait(min(pause, threading.TIMEOUT_MAX))
            pause = min(max(2 * pause, AGAIN_S), self._limits.longest_retry_s)

    def _session(self) -> bool:
        """From connecting to losing the connection; whether there was any frame."""
        try:
            capture = self._timed(self._connect, self._limits.open_s)
        except BaseException as error:  # a maker's code may ask to exit, which would end this thread without a word
            self._listener.failed(self, error)
            return False
        try:
            if isinstance(capture, cv2.VideoCapture) and not capture.isOpened():  # its constructor raises nothing
                self._listener.failed(self, ConnectionError("it could not be opened"))
                return False
            self._listener.connected(self)
            return self._read_all(capture)
        finally:
            with suppress(BaseException):  # a lost camera may fail to close
                capture.release()

    def _read_all(self, capture: Capture) -> bool:
        some = False
        last = time.monotonic()
        while not self.stopping.is_set():
            try:
                done, image = self._timed(capture.read, self._limits.stall_s)
            except EOFError as error:
                self.stopping.set()
                self._listener.ended(self, error)
                break
            except BaseException as error:
                self._listener.failed(self, error)
                break
            if done and image is not None:
                some, last = True, time.monotonic()
                self._listener.arrived(self, image)
            elif time.monotonic() - last > FAILING_S:
                self._listener.failed(self, ConnectionError(f"reads gave nothing for {FAILING_S:g} s"))
                break
            else:
                self.stopping.wait(AGAIN_S)
        return some

    def _timed(self, call: Callable[[], T], limit_s: float) -> T:
        self._due = time.monotonic() + limit_s
        try:
            return call()
        finally:
            self._due = None


def _end_all() -> None:
    """Free the cameras: a daemon thread that is within OpenCV when Python ends may take the process down."""
    running = [thread for thread in threading.enumerate() if isinstance(thread, CaptureThread)]
    for thread in running:
        thread.stopping.set()
    end = time.monotonic() + ENDING_S
    for thread in running:
        thread.join(max(0.0, end - time.monotonic()))


atexit.register(_end_all)

"""Signals that end a command: each raises, and raises again where what it raised was swallowed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class TerminatedError(BaseException):
    """SIGTERM came. Not an Exception, as KeyboardInterrupt is none: no handler of errors may swallow it."""


_Handler = Callable[[int, FrameType | None], Any] | signal.Handlers
_ENDS: dict[int, tuple[_Handler, type[BaseException]]] = {
    signal.SIGTERM: (signal.SIG_DFL, TerminatedError),
    signal.SIGINT: (signal.default_int_handler, KeyboardInterrupt),
}
"""By signal Python's usual handler, and what is raised."""

_ALARM = getattr(signal, "SIGALRM", None)
"""Brings a lost signal again; Windows has none."""

_PATIENCE_S = 1.0
"""Seconds after which a signal counts as lost where nothing is being tidied up."""


@contextmanager
def signals_end() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, and neither get lost, where nobody else handles them.

    While the first is being tidied up after, SIGTERM once more changes nothing. Ctrl-C once more, or another signal
    than the first, ends the tidying: somebody has watched it for long enough. A block that SIGTERM has ended leaves it
    ignored: on its way out the process would else be killed by the next one, with another exit status.
    """
    in_main = threading.current_thread() is threading.main_thread()
    mine = [number for number, (usual, _) in _ENDS.items() if in_main and signal.getsignal(number) == usual]
    raising = _Raising()
    usual = {number: _ENDS[number][0] for number in mine}
    try:
        for number in mine:
            signal.signal(number, raising.end)
        yield
    except TerminatedError:
        if signal.SIGTERM in usual:
            usual[signal.SIGTERM] = signal.SIG_IGN
        raise
    finally:
        try:
            for number, handler in usual.items():
                signal.signal(number, handler)
        finally:
            raising.disarm()


class _Raising:
    """Handlers of the signals that end a block, and of the alarm that brings them again."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._error: type[BaseException] | None = None
        """Of the last signal."""

    def end(self, number: int, frame: FrameType | None) -> None:
        again = self._error is TerminatedError
        self._error = _ENDS[number][1]
        self._arm()
        if self._error is TerminatedError and (_is_handled(TerminatedError) or (again and _is_tidying(frame))):
            return  # the alarm brings it again, should the first have got lost
        raise self._error

    def remind(self, _: int, frame: FrameType | None) -> None:
        # C code that asks Python for something may take any exception for "no" (PyErr_Clear), also one of these
        self._arm()
        if not (_is_handled(TerminatedError, KeyboardInterrupt) or _is_tidying(frame)):
            raise self._error or TerminatedError

    def _arm(self) -> None:
        """Set the alarm; not in a forked child, nor over an alarm that the program has set itself."""
        if os.getpid() != self._process or _ALARM is None:
            return
        if signal.getsignal(_ALARM) in (signal.SIG_DFL, self.remind):
            signal.signal(_ALARM, self.remind)
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S)

    def disarm(self) -> None:
        if _ALARM is not None and signal.getsignal(_ALARM) == self.remind:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(_ALARM, signal.SIG_DFL)


def _is_handled(*kinds: type[BaseException]) -> bool:
    """Whether what is being handled, or what it was raised in the handling of, is of these kinds."""
    error = sys.exception()
    while error is not None and not isinstance(error, kinds):
        error = error.__context__
    return error is not None


def _is_tidying(frame: FrameType | None) -> bool:
    """Whether a generator ends or an object is being freed, as on the way out of functions that an exception ends."""
    if _is_handled(GeneratorExit):
        return True
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None

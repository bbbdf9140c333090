"""Calls in progress, and the end of the program: it waits for them.

When Python ends, threads that are daemons are stopped wherever they ask for the interpreter next. In the midst of a
C++ runtime's call that ends the whole process by `std::terminate` (OpenVINO 2026.4: "terminate called without an active
exception", SIGABRT).
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from danet.errors import BackendError

ENDING_S = 5.0
"""How long the end of the program waits for calls in progress."""


class _Calls:
    def __init__(self) -> None:
        self.news = threading.Condition(threading.RLock())  # a signal's handler may call within a call
        self.count = 0
        self.ending = False


_calls = _Calls()


@contextmanager
def in_flight() -> Iterator[None]:
    """A call that the end of the program waits for.

    Raises:
        BackendError: the program is ending.
    """
    calls = _calls
    with calls.news:
        if calls.ending:
            raise BackendError("the program is ending; no more frames are taken")
        calls.count += 1
    try:
        yield
    finally:
        with calls.news:
            calls.count -= 1
            if calls.ending:
                calls.news.notify_all()


def _wait_for_calls() -> None:
    calls = _calls
    with calls.news:
        calls.ending = True
        calls.news.wait_for(lambda: calls.count == 0, ENDING_S)


def _forget_calls() -> None:
    """In a forked child, which has not the threads that made them."""
    global _calls
    _calls = _Calls()


atexit.register(_wait_for_calls)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_calls)

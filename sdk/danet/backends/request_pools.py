"""Requests of a model, each of which serves one call at a time, lent to the calls of many threads."""

from __future__ import annotations

import inspect
import queue
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from danet.errors import BackendError

Key = TypeVar("Key", bound=Hashable)
Request = TypeVar("Request")


class _Pool(Generic[Request]):
    """First come, first served: a queue.Queue lets the thread that gives back take again before those that wait."""

    def __init__(self) -> None:
        self.making = threading.RLock()  # a signal's handler may call within a call
        self.made = 0
        self._lock = threading.RLock()
        self._free: list[Request] = []
        self._waiting: deque[queue.SimpleQueue[Request]] = deque()
        self._held: Counter[int] = Counter()

    def fill(self, requests: list[Request]) -> None:
        for request in requests:
            self.give(request)
        self.made = len(requests)

    @contextmanager
    def lend(self, name: str) -> Iterator[Request]:
        me = threading.get_ident()
        if self._held[me] == self.made:
            raise BackendError(
                f"{name}: called within a call of the same thread (by a signal's handler?), whose end it would wait "
                "for; let the handler only take a note, or call in another thread"
            )
        request = self._take()
        self._held[me] += 1
        try:
            yield request
        finally:
            self._held[me] -= 1
            self.give(request)

    def _take(self) -> Request:
        with self._lock:
            if self._free:
                return self._free.pop()
            mine: queue.SimpleQueue[Request] = queue.SimpleQueue()
            self._waiting.append(mine)
        try:
            return mine.get()
        except BaseException:  # an interrupt from the keyboard: the place in the row is given up
            self._leave(mine)
            raise

    def _leave(self, mine: queue.SimpleQueue[Request]) -> None:
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return
        with suppress(queue.Empty):
            self.give(mine.get_nowait())

    def give(self, request: Request) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().put(request)
            else:
                self._free.append(request)


def _held_weakly(make: Callable[[Key], Iterable[Request]]) -> Callable[[Key], Iterable[Request]]:
    """A method without its object, which is there while it lends; what is no method as it is.

    Not by WeakMethod: that calls Python when the object is freed, and what a signal's handler raises there is lost.
    """
    if not inspect.ismethod(make):
        return make
    owner, function = weakref.ref(make.__self__), make.__func__
    return lambda key: function(owner(), key)


class RequestPools(Generic[Key, Request]):
    """Requests for each shape of batch, made on first use, lent in the order in which calls came.

    While those of one shape are made, which takes seconds, calls of the other shapes go on.

    Args:
        make: gives the requests of a shape, or of whatever tells one kind of batch from another. A method is held
            weakly: a model that nobody closes is freed as soon as nobody has it.
        name: of the backend, for messages.
    """

    def __init__(self, make: Callable[[Key], Iterable[Request]], name: str) -> None:
        self._make = _held_weakly(make)
        self._name = name
        self._pools: dict[Key, _Pool[Request]] | None = {}
        self._lock = threading.RLock()

    @contextmanager
    def lend(self, key: Key) -> Iterator[Request]:
        """A request of a shape, nobody else's in the `with` block; waits while all are lent.

        Raises:
            BackendError: after `close`; in a thread that holds every request itself.
            Whatever `make` raises; the next call tries again.
        """
        with self._made(key).lend(self._name) as request:
            yield request

    def _made(self, key: Key) -> _Pool[Request]:
        with self._lock:
            if self._pools is None:
                raise BackendError(f"{self._name}: the model is closed; open it again")
            pool = self._pools.setdefault(key, _Pool())
        with pool.making:
            if not pool.made:
                pool.fill(list(self._make(key)))
        return pool

    def close(self) -> None:
        """Let go of the requests; calls in progress, those that wait among them, end as they would have."""
        with self._lock:
            self._pools = None

"""Requests of a model, each of which serves one call at a time, lent to the calls of many threads."""

from __future__ import annotations

import queue
import threading
from collections import deque
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
        self.made = False
        self._lock = threading.RLock()
        self._free: list[Request] = []
        self._waiting: deque[queue.SimpleQueue[Request]] = deque()

    def take(self) -> Request:
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


class RequestPools(Generic[Key, Request]):
    """Requests for each shape of batch, made on first use, lent in the order in which calls came.

    While those of one shape are made, which takes seconds, calls of the other shapes go on.

    Args:
        make: gives the requests of a shape, or of whatever tells one kind of batch from another.
        name: of the backend, for messages.
    """

    def __init__(self, make: Callable[[Key], Iterable[Request]], name: str) -> None:
        self._make = make
        self._name = name
        self._pools: dict[Key, _Pool[Request]] | None = {}
        self._lock = threading.RLock()

    @contextmanager
    def lend(self, key: Key) -> Iterator[Request]:
        """A request of a shape, nobody else's in the `with` block; waits while all are lent.

        Raises:
            BackendError: after `close`.
            Whatever `make` raises; the next call tries again.
        """
        pool = self._made(key)
        request = pool.take()
        try:
            yield request
        finally:
            pool.give(request)

    def _made(self, key: Key) -> _Pool[Request]:
        with self._lock:
            if self._pools is None:
                raise BackendError(f"{self._name}: the model is closed; open it again")
            pool = self._pools.setdefault(key, _Pool())
        with pool.making:
            if not pool.made:
                for request in list(self._make(key)):
                    pool.give(request)
                pool.made = True
        return pool

    def close(self) -> None:
        """Let go of the requests; calls in progress, those that wait among them, end as they would have."""
        with self._lock:
            self._pools = None

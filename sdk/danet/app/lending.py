"""Costly objects that many threads use: opened once for each key, closed when others are wanted more."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

from danet.errors import BackendError

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass
class _Loan(Generic[Value]):
    opening: Lock = field(default_factory=Lock)
    values: list[Value] = field(default_factory=list)
    """The object, once it is open; a list, since None might be an object too."""
    users: int = 0


class Lending(Generic[Key, Value]):
    """Lends one object for each key to any number of threads at a time.

    Args:
        open_one: makes the object of a key; threads that want the same key wait for it, others do not.
        close_one: frees an object that nobody uses any more.
        most_unused: how many unused objects stay open, the latest used ones.

    The objects must be safe to use from several threads.
    """

    def __init__(self, open_one: Callable[[Key], Value], close_one: Callable[[Value], None], most_unused: int) -> None:
        self._open_one = open_one
        self._close_one = close_one
        self._most_unused = most_unused
        self._lock = Lock()
        self._loans: dict[Key, _Loan[Value]] = {}
        self._closed = False

    @contextmanager
    def lend(self, key: Key) -> Iterator[Value]:
        """The object of a key, for the time of a `with` block; it stays open at least as long.

        Raises:
            BackendError: after `close`.
            Whatever `open_one` raises; the next call tries again.
        """
        loan = self._take(key)
        try:
            with loan.opening:
                if not loan.values:
                    loan.values.append(self._open_one(key))
            yield loan.values[0]
        finally:
            self._give_back(loan)

    def _take(self, key: Key) -> _Loan[Value]:
        with self._lock:
            if self._closed:
                raise BackendError("the page is being closed; start `danet app` again")
            loan = self._loans.pop(key, None) or _Loan()
            self._loans[key] = loan  # at the end: the order is that of use
            loan.users += 1
            return loan

    def _give_back(self, loan: _Loan[Value]) -> None:
        with self._lock:
            loan.users -= 1
        self._close_unwanted()

    def _close_unwanted(self) -> None:
        with self._lock:
            unused = [key for key, loan in self._loans.items() if not loan.users]
            failed = [key for key in unused if not self._loans[key].values]
            good = [key for key in unused if self._loans[key].values]
            unwanted = [*failed, *good[: len(good) - (0 if self._closed else self._most_unused)]]
            loans = [self._loans.pop(key) for key in unwanted]
        for loan in loans:
            for value in loan.values:
                self._close_one(value)

    def close(self) -> None:
        """Close what is unused now, and the rest as soon as it is given back. Calling it twice does no harm."""
        with self._lock:
            self._closed = True
        self._close_unwanted()

"""The persons of one call on all cores at once: each share goes from crop to keypoints on its part of the threads.

A network's small layers do not feed several threads, which wait for each other at the end of every one; shares meet
once a call. And what is not the network, crops and decoding, is done on all cores too. Measured in docs/performance.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

from danet.backends.base import Backend, SideBySide
from danet.batching import BatchedModel, batch_sizes, plan_batches
from danet.cpu import read_cpu
from danet.errors import BackendError, DanetError

MOST_SHARES = 4
"""Where the settings leave it open: OpenVINO holds the whole graph once to a share (some 40 to 50 MiB)."""

BUSY_ENOUGH = 0.9
"""Part of the threads that shares must keep busy."""

Work = Callable[[slice, BatchedModel], None]
"""Does the persons of a slice with a model."""


def share_count(backend: Backend, asked: int | None, threads: int | None, fixed: tuple[int, ...] | None) -> int:
    """How many shares a backend's calls are split into.

    Args:
        backend: of the model.
        asked: by the settings; None: one to a thread, `MOST_SHARES` at most, and no more than keep the threads busy.
        threads: of the estimator; None: all that the process may use.
        fixed: batch sizes that the file allows; None: any.
    """
    if not isinstance(backend, SideBySide) or fixed not in (None, (1,)):
        return 1
    available = threads or read_cpu().cores
    if asked is not None:
        return min(asked, available)
    # shares have equal numbers of threads: of five threads four shares would leave one idle
    busy, best = max(((n * (available // n), n) for n in range(2, min(MOST_SHARES, available) + 1)), default=(0, 1))
    return best if busy >= BUSY_ENOUGH * available else 1


def plan_shares(persons: int, shares: int) -> tuple[list[slice], slice]:
    """Split `persons` into slices for the shares, and one of those that are left over.

    Those left over, fewer than shares, are spread over them where that keeps more than half of the shares busy.
    Otherwise one network call with all threads is faster for them.
    """
    each, left = divmod(persons, shares)
    spread = left if 2 * left > shares else 0
    slices, start = [], 0
    for index in range(shares):
        end = start + each + (index < spread)
        if end > start:
            slices.append(slice(start, end))
        start = end
    return slices, slice(start, persons)


class Shares:
    """A model's second plan, for calls side by side, and the threads that make them; opened on first use.

    Args:
        backend: of the model.
        count: of shares; 1: never split.
        largest: most persons to a network call that the settings allow in any use.
    """

    def __init__(self, backend: Backend, count: int, largest: int) -> None:
        self.count = count
        self._backend = backend
        self._largest = largest
        # a signal's handler may close, or call, within a call that opens
        self._opening = threading.RLock()
        self._lock = threading.RLock()
        self._model: BatchedModel | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._refused = False
        self._proven: frozenset[int] = frozenset()
        """Sizes of batches that the second plan has run."""

    def do(self, persons: int, whole: BatchedModel, work: Work) -> None:
        """Have `work` do all persons, in shares where there are enough; returns when all are done.

        Args:
            persons: how many.
            whole: the model for calls with all threads.
            work: called from several threads at once, each time with other persons.

        Raises:
            Whatever `work` raises; of several errors the first share's.
        """
        slices, rest = plan_shares(persons, self.count) if self.count > 1 else ([], slice(0, persons))
        opened = self._opened() if slices else None
        if opened is None:
            work(slice(0, persons), whole)
            return
        model, pool = opened
        model = replace(model, sizes=tuple(size for size in model.sizes if size <= whole.sizes[-1]) or model.sizes[:1])
        # backends plan a batch size, OpenVINO compiles it, in the first call
        asked = frozenset(size for one in slices for size, _ in plan_batches(one.stop - one.start, model.sizes))
        try:
            if not asked <= self._proven:
                for one in _one_of_each_length(slices):
                    work(one, model)
                    slices.remove(one)
                self._proven |= asked
            _side_by_side(pool, slices, lambda one: work(one, model))
        except BackendError:
            if asked <= self._proven and not self._refused:
                raise
            self.close()  # it cannot be split; or another call has found that, and closed under this one
            work(slice(0, persons), whole)
            return
        if rest.start < rest.stop:
            work(rest, whole)

    def prove(self) -> None:
        """Take all batch sizes of the second plan for run, as `warm_up` has: no call need try one share first."""
        model = self.opened_model()
        if model is not None:
            self._proven |= frozenset(model.sizes)

    def opened_model(self) -> BatchedModel | None:
        """The model that shares are run by; None where nothing is split."""
        opened = self._opened() if self.count > 1 else None
        return opened and opened[0]

    def _opened(self) -> tuple[BatchedModel, ThreadPoolExecutor] | None:
        with self._opening:
            if self._model is None and not self._refused:
                self._open()
        with self._lock:
            return None if self._model is None or self._pool is None else (self._model, self._pool)

    def _open(self) -> None:
        assert isinstance(self._backend, SideBySide)
        try:
            backend = self._backend.side_by_side(self.count)
        except DanetError:  # closed, or its file is gone: the plan for whole calls tells, or does without
            self._refused = True
            return
        with self._lock:
            if self._model is None and not self._refused:
                self._model = BatchedModel(backend, batch_sizes(min(self._largest, self._backend.share_batch)))
                self._pool = ThreadPoolExecutor(self.count - 1, thread_name_prefix="danet-share")
                return
        backend.close()  # closed, or opened by a signal's handler, meanwhile

    def close(self) -> None:
        """Free the second plan; calls in progress end as they would have, or raise BackendError."""
        with self._lock:
            self._refused = True
            model, self._model = self._model, None
            pool, self._pool = self._pool, None
        if model is not None and pool is not None:
            model.backend.close()
            pool.shutdown(wait=False)


def _one_of_each_length(slices: Sequence[slice]) -> list[slice]:
    return list({one.stop - one.start: one for one in reversed(slices)}.values())


def _side_by_side(pool: ThreadPoolExecutor, slices: Sequence[slice], work: Callable[[slice], None]) -> None:
    """Do all slices, one of them in this thread; returns when all are done, and raises the first one's error."""
    mine, others = list(slices[:1]), []
    try:
        for one in slices[1:]:
            try:
                others.append(pool.submit(work, one))
            except RuntimeError:  # no thread may be started any more: the program ends, or the system has none
                mine.append(one)
        for one in mine:
            work(one)
    finally:
        wait(others)
    for other in others:
        other.result()

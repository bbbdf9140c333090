from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from danet_benchmarks.heap import allocated_mib

pytestmark = pytest.mark.skipif(allocated_mib() is None, reason="glibc's malloc_info is needed")


def told() -> float:
    mib = allocated_mib()
    assert mib is not None
    return mib


@pytest.mark.parametrize("size", [1 << 12, 1 << 27], ids=["small", "mapped"])
def test_what_is_held_counts_and_what_is_freed_does_not(size: int) -> None:
    gc.collect()
    before = told()
    held = [np.ones(size, np.uint8) for _ in range((1 << 27) // size)]
    assert told() - before == pytest.approx(128, rel=0.05)
    del held
    assert told() - before < 2


def test_other_threads_heaps_count() -> None:
    gc.collect()
    before, held = told(), []
    thread = threading.Thread(target=lambda: held.extend(np.ones(1 << 12, np.uint8) for _ in range(1 << 13)))
    thread.start()
    thread.join()
    assert told() - before == pytest.approx(32, rel=0.2)

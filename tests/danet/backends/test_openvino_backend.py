from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from danet.backends.base import BackendOptions
from danet.backends.openvino_backend import OpenVinoBackend
from danet.backends.registry import load_model

GOLDEN = Path(__file__).parents[2] / "compatibility/golden/version-1"

FIRST_TENSORS_AT_ONCE = """
import threading
import numpy as np
from danet import PoseEstimator

estimator = PoseEstimator("danet72", threads=1)
frame = np.zeros((64, 48, 3), np.uint8)
barrier = threading.Barrier(4)

def first_call():
    barrier.wait()
    estimator.infer(frame)

threads = [threading.Thread(target=first_call) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_first_calls_from_several_threads_do_not_block_each_other() -> None:
    # pybind11 sets NumPy up at the process's first tensor; two threads there at once used to hang for ever
    for _ in range(3):
        subprocess.run([sys.executable, "-c", FIRST_TENSORS_AT_ONCE], check=True, timeout=60)


@pytest.mark.parametrize(("name", "largest"), [("tiny.xml", 2), ("tiny-int8.xml", 5)])
def test_shares_go_in_batches_that_fit_the_arithmetic(name: str, largest: int) -> None:
    """INT8 gains by larger ones: docs/performance.md."""
    backend = load_model(GOLDEN / name, None, BackendOptions()).backend
    assert isinstance(backend, OpenVinoBackend)
    beside = backend.side_by_side(2)
    assert (backend.share_batch, beside.share_batch) == (largest, largest)
    beside.close()
    backend.close()

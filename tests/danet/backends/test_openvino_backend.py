from __future__ import annotations

import subprocess
import sys

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

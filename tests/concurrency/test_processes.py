from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.estimator import PoseEstimator
from tests.concurrency.work import BOX, FRAME, LIMIT_S, python

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

_own: list[PoseEstimator] = []


def make_own(model: Path) -> None:
    _own.append(PoseEstimator(model, threads=1))


def keypoints(count: int) -> NDArray[np.float32]:
    return _own[0].infer(FRAME, BOX * count).keypoints


def test_spawned_pool_with_an_estimator_in_each(tiny_ir: Path) -> None:
    with PoseEstimator(tiny_ir) as estimator:
        expected = [estimator.infer(FRAME, BOX * count).keypoints for count in range(5)]
    with multiprocessing.get_context("spawn").Pool(2, make_own, (tiny_ir,)) as pool:
        found = pool.map_async(keypoints, range(5)).get(LIMIT_S)
    for one, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, right)


def test_process_pool_executor(tiny_ir: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, initializer=make_own, initargs=(tiny_ir,)) as pool:
        shapes = [one.shape for one in pool.map(keypoints, range(4), timeout=LIMIT_S)]
    assert shapes == [(count, 17, 2) for count in range(4)]


WAIT = """
end = time.monotonic() + 30
while time.monotonic() < end:
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        break
    time.sleep(0.02)
else:
    os.kill(child, 9)
    sys.exit("the child hangs")
"""
FORK = """
import os, sys, time, numpy as np
from danet import PoseEstimator
from danet.errors import BackendError

model, ended_by, *kinds = sys.argv[1:]
frame, boxes = np.full((90, 120, 3), 99, np.uint8), [[5, 5, 60, 80]] * 3
estimator = PoseEstimator(model, threads=2)
expected = estimator.infer(frame, boxes).keypoints

def act(what):
    global estimator
    if what == "own":
        with PoseEstimator(model, threads=2) as own:
            return 0 if np.array_equal(own.infer(frame, boxes).keypoints, expected) else 4
    if what == "close":
        estimator.close()
        del estimator
        return 0
    try:
        list(estimator.stream([(frame, boxes)])) if what == "stream" else estimator.infer(frame, boxes)
    except BackendError as error:
        return 0 if "make the estimator in the child" in str(error) else 5
    return 3

for kind in kinds:
    child = os.fork()
    if child == 0:
        status = act(kind)
        sys.exit(status) if ended_by == "sys.exit" else os._exit(status)
{wait}
    assert np.array_equal(estimator.infer(frame, boxes).keypoints, expected), kind
    if status:
        sys.exit(f"{kind}: {os.waitstatus_to_exitcode(status)}")
estimator.close()
""".replace("{wait}", textwrap.indent(WAIT, "    "))


@forks
@pytest.mark.parametrize("file", ["tiny_ir", "tiny_onnx", "tiny_tflite"])
def test_fork(file: str, request: pytest.FixtureRequest) -> None:
    done = python(FORK, request.getfixturevalue(file), "os._exit", "own", "parent's", "stream", "close")
    assert done.returncode == 0, done.stderr


@forks
@pytest.mark.parametrize("file", ["tiny_ir", "tiny_tflite"])
def test_a_forked_child_ends_by_sys_exit(file: str, request: pytest.FixtureRequest) -> None:
    # freeing the parent's model waited for ever for threads that a fork does not copy
    done = python(FORK, request.getfixturevalue(file), "sys.exit", "parent's")
    assert done.returncode == 0, done.stderr


FORK_AFTER_OPENCV = """
import os, sys, time, cv2, numpy as np
from danet import PoseEstimator

cv2.setNumThreads(4)
cv2.resize(cv2.cvtColor(np.zeros((2000, 3000, 3), np.uint8), cv2.COLOR_BGR2HSV), (4000, 3000))
time.sleep(0.3)  # until the pool's threads sleep
child = os.fork()
if child == 0:
    grey, threads = np.zeros((2000, 3000), np.uint8), int(sys.argv[2])
    poses = PoseEstimator(sys.argv[1], threads=threads).infer(grey, [[0, 0, 90, 90]])
    os._exit(0 if len(poses) == 1 and cv2.getNumThreads() <= threads else 3)
{wait}sys.exit(os.waitstatus_to_exitcode(status))
""".replace("{wait}", WAIT)


@forks
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_child_with_fewer_threads_after_the_parent_used_opencv(tiny_ir: Path, threads: int) -> None:
    done = python(FORK_AFTER_OPENCV, tiny_ir, threads)
    assert done.returncode == 0, done.stderr


FORK_WITH_DETECTOR = """
import os, sys, time, numpy as np
from pathlib import Path
from danet.detectors.network import open_network
from danet.errors import DetectorError

path, backend, end_by = sys.argv[1:]
network = open_network(Path(path), backend, 2)
blob = np.zeros((1, 128, 96, 3), np.uint8)
network.run(blob)
child = os.fork()
if child == 0:
    status = 3
    try:
        network.run(blob)
    except DetectorError as error:
        status = 0 if "make the detector in the child" in str(error) else 4
    del network
    if end_by == "sys.exit":
        sys.exit(status)
    os._exit(status)
{wait}network.run(blob)
sys.exit(os.waitstatus_to_exitcode(status))
""".replace("{wait}", WAIT)


@forks
@pytest.mark.parametrize(
    ("file", "backend", "end_by"),
    [
        ("tiny_ir", "openvino", "os._exit"),
        ("tiny_ir", "openvino", "sys.exit"),
        pytest.param("tiny_onnx", "onnxruntime", "os._exit", marks=pytest.mark.needs("onnxruntime")),
    ],
)
def test_fork_with_a_detector_open(file: str, backend: str, end_by: str, request: pytest.FixtureRequest) -> None:
    done = python(FORK_WITH_DETECTOR, request.getfixturevalue(file), backend, end_by)
    assert done.returncode == 0, done.stderr


INTERRUPTED = """
import sys, numpy as np
from danet import PoseEstimator

model, what = sys.argv[1:]
frame, boxes = np.zeros((200, 200, 3), np.uint8), [[0, 0, 90, 90]] * 8
with PoseEstimator(model) as estimator:
    estimator.infer(frame, boxes)
    try:
        print("ready", flush=True)
        if what == "infer":
            while True:
                estimator.infer(frame, boxes)
        for _ in estimator.stream((frame, boxes) for _ in range(10**9)):
            pass
    except KeyboardInterrupt:
        assert len(estimator.infer(frame, boxes)) == 8  # goes on after it
        print("interrupted", flush=True)
        raise
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("what", "file"),
    [
        ("stream", "tiny_ir"),
        ("infer", "tiny_onnx"),
        ("infer", "tiny_tflite"),
        pytest.param("infer", "tiny_ir", marks=pytest.mark.long),
        pytest.param("stream", "tiny_onnx", marks=pytest.mark.long),
        pytest.param("stream", "tiny_tflite", marks=pytest.mark.long),
    ],
)
def test_interrupt_from_the_keyboard(what: str, file: str, request: pytest.FixtureRequest) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(request.getfixturevalue(file)), what]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        too_late = threading.Timer(LIMIT_S, process.kill)
        too_late.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LIMIT_S)
        finally:
            too_late.cancel()
            process.kill()
    assert out == "interrupted\n", err
    assert process.returncode in (1, -signal.SIGINT)
    assert err.strip().endswith("KeyboardInterrupt")

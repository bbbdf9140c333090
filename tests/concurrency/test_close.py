from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from danet.batching import BatchedModel
from danet.errors import BackendError
from danet.estimator import PoseEstimator
from danet.poses import Poses
from danet.video.pipeline import PosePipeline
from tests.concurrency.work import BOX, FRAME, LIMIT_S, assert_same, few_jobs, in_threads, python


def test_close_in_the_midst_of_calls(model: tuple[str | Path, str]) -> None:
    """Calls in progress give the right answer or BackendError; the next ones raise it."""
    work = few_jobs()
    with PoseEstimator(model[0], backend=model[1]) as alone:
        expected = [alone.infer(*job) for job in work]
    estimator = PoseEstimator(model[0], backend=model[1])
    estimator.infer(*work[1])
    begun = threading.Semaphore(0)

    def client(number: int) -> None:
        if number == 0:
            for _ in range(5):
                assert begun.acquire(timeout=LIMIT_S)
            estimator.close()
            return
        for turn in range(10_000):
            index = (number + turn) % len(work)
            poses = estimator.infer(*work[index])
            begun.release()
            assert_same(poses, expected[index])

    raised = in_threads(8, client)
    assert raised[0] is None
    assert [type(error) for error in raised[1:]] == [BackendError] * 7
    assert all("closed" in str(error) for error in raised[1:])
    estimator.close()
    with pytest.raises(BackendError, match="this estimator is closed"):
        estimator.infer(FRAME, BOX)


def test_no_call_falls_back_on_a_model_that_is_being_closed(tiny_ir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole batches differ from shares in the last bits."""
    estimator = PoseEstimator(tiny_ir, threads=2)
    _, boxes = few_jobs()[2]
    estimator.infer(FRAME, boxes)
    opened = estimator._still_open()
    close, crop = opened.shares.close, np.zeros((1, *estimator.spec.input_size, 3), np.uint8)
    found: list[type[Exception] | None] = []

    def work(one: slice, model: BatchedModel) -> None:
        model.backend.run(crop)

    def between() -> None:
        close()
        try:
            opened.do(len(boxes), work)
            found.append(None)
        except BackendError as error:
            found.append(type(error))

    monkeypatch.setattr(opened.shares, "close", between)
    estimator.close()
    assert found == [BackendError]


@pytest.mark.parametrize("size", [1, 3])
def test_a_closed_backend_says_so(model: tuple[str | Path, str], size: int) -> None:
    """Between two batches of one call the backend itself is asked, not the estimator."""
    if model[1] == "null":
        pytest.skip("the null backend has nothing to close")
    estimator = PoseEstimator(model[0], backend=model[1])
    backend = estimator._still_open().single.backend
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match=r"closed; open"):
        backend.run(np.zeros((size, *estimator.spec.input_size, 3), np.uint8))


def test_close_during_stream(tiny_ir: Path) -> None:
    estimator = PoseEstimator(tiny_ir)
    expected = estimator.infer(FRAME, BOX)
    found: list[Poses] = []
    stream = estimator.stream((FRAME, BOX) for _ in range(100))
    found += [next(stream) for _ in range(3)]
    estimator.close()
    with pytest.raises(BackendError, match="closed"):
        found.extend(stream)
    assert 3 <= len(found) <= 5  # what was read ahead may still come
    for poses in found:
        assert_same(poses, expected)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("danet-stream")]


def test_close_during_a_pipeline(tiny_ir: Path) -> None:
    estimator = PoseEstimator(tiny_ir)
    pictures = [FRAME] * 20
    with PosePipeline(pictures, estimator) as pipeline:
        results = iter(pipeline)
        assert [next(results).frame.index for _ in range(3)] == [0, 1, 2]
        assert in_threads(1, lambda _: estimator.close()) == [None]
        with pytest.raises(BackendError, match="closed"):
            next(results)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("danet-read-ahead")]


FORGOTTEN = """
import gc, sys, numpy as np
from danet import PoseEstimator
for _ in range(3):
    estimator = PoseEstimator(sys.argv[1])
    estimator.infer(np.zeros((64, 48, 3), np.uint8))
    del estimator
    gc.collect()
kept = PoseEstimator(sys.argv[1])
kept.infer(np.zeros((64, 48, 3), np.uint8))
"""

EXIT = """
import sys, threading, numpy as np
from danet import PoseEstimator
from danet.errors import BackendError
estimator = PoseEstimator(sys.argv[1])
frame = np.zeros((200, 200, 3), np.uint8)
begun = threading.Barrier(5)
def work():
    begun.wait()
    try:
        while True:
            estimator.infer(frame, [[0, 0, 90, 90]] * 8)
    except BackendError as error:
        assert "the program is ending" in str(error)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
begun.wait()
estimator.infer(frame)
"""


PROGRAMS = {"forgotten": FORGOTTEN, "calls in flight": EXIT}


@pytest.mark.parametrize(
    ("program", "file"),
    [
        ("calls in flight", "tiny_ir"),
        ("forgotten", "tiny_onnx"),
        ("calls in flight", "tiny_tflite"),
        pytest.param("forgotten", "tiny_ir", marks=pytest.mark.long),
        pytest.param("calls in flight", "tiny_onnx", marks=pytest.mark.long),
        pytest.param("forgotten", "tiny_tflite", marks=pytest.mark.long),
    ],
)
def test_the_interpreter_ends_cleanly(program: str, file: str, request: pytest.FixtureRequest) -> None:
    done = python(PROGRAMS[program], request.getfixturevalue(file))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr

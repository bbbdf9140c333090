from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.backends.request_pools import RequestPools
from danet.errors import BackendError
from danet.estimator import PoseEstimator
from tests.concurrency.work import BOX, FRAME, LIMIT_S, SPEC, Zeros, assert_same, few_jobs, in_threads, jobs


def test_sixteen_threads_give_the_serial_answers(model: tuple[str | Path, str]) -> None:
    """Bit by bit: a frame's persons share their batches with nobody else's."""
    work = few_jobs()
    with PoseEstimator(model[0], backend=model[1]) as estimator:
        expected = [estimator.infer(*job) for job in work]

        def client(number: int) -> None:
            for index in np.random.default_rng(number).permutation(len(work))[:3]:
                assert_same(estimator.infer(*work[index]), expected[index])

        assert in_threads(16, client) == [None] * 16


def test_four_estimators_at_once(tiny_ir: Path, tiny_onnx: Path, tiny_tflite: Path) -> None:
    work = jobs(5)
    kinds: list[tuple[Path, dict[str, Any]]] = [
        (tiny_ir, {"threads": 1}),
        (tiny_ir, {"threads": 2, "batch_size": 4, "flip_test": True}),
        (tiny_onnx, {"threads": 2}),
        (tiny_tflite, {"threads": 1}),
    ]
    estimators = [PoseEstimator(path, **options) for path, options in kinds]
    expected = [[estimator.infer(*job) for job in work] for estimator in estimators]

    def client(number: int) -> None:
        for turn in range(12):
            which, index = (number + turn) % 4, (3 * number + turn) % len(work)
            assert_same(estimators[which].infer(*work[index]), expected[which][index])

    assert in_threads(8, client) == [None] * 8
    for estimator in estimators:
        estimator.close()


def test_streams_of_several_threads(tiny_ir: Path) -> None:
    work = jobs(4)
    with PoseEstimator(tiny_ir) as estimator:
        expected = [estimator.infer(*job) for job in work]

        def client(number: int) -> None:
            for poses, right in zip(estimator.stream(work), expected, strict=True):
                assert_same(poses, right)

        assert in_threads(4, client) == [None] * 4


def test_made_in_one_thread_used_and_closed_in_others(tiny_ir: Path) -> None:
    made: list[PoseEstimator] = []
    assert in_threads(1, lambda _: made.append(PoseEstimator(tiny_ir))) == [None]
    expected = made[0].infer(FRAME, BOX)
    assert in_threads(1, lambda _: assert_same(made[0].infer(FRAME, BOX), expected)) == [None]
    assert in_threads(1, lambda _: made[0].close()) == [None]
    with pytest.raises(BackendError, match="closed"):
        made[0].infer(FRAME, BOX)


class Moody(Zeros):
    """Hangs on batches of one until told to go on, raises on batches of two."""

    def __init__(self) -> None:
        self.go_on, self.hanging = threading.Event(), threading.Event()

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(images) == 1:
            self.hanging.set()
            self.go_on.wait(LIMIT_S)
        if len(images) == 2:
            raise ValueError("two are one too many")
        return super().run(images)


@pytest.fixture
def moody() -> Iterator[Moody]:
    backend = Moody()
    yield backend
    backend.go_on.set()


def test_a_request_that_hangs_does_not_block_others(moody: Moody) -> None:
    estimator = PoseEstimator("own", spec=SPEC, backend=moody)
    hung = threading.Thread(target=estimator.infer, args=(FRAME, BOX), daemon=True)
    hung.start()
    assert moody.hanging.wait(LIMIT_S)
    others = in_threads(8, lambda _: [estimator.infer(FRAME, BOX * 4) for _ in range(5)])
    assert others == [None] * 8
    assert hung.is_alive()
    moody.go_on.set()
    hung.join(LIMIT_S)
    assert not hung.is_alive()


def test_an_error_reaches_its_caller_only(moody: Moody) -> None:
    estimator = PoseEstimator("own", spec=SPEC, backend=moody)
    raised = in_threads(8, lambda number: [estimator.infer(FRAME, BOX * (2 if number == 3 else 4)) for _ in range(5)])
    assert [number for number, error in enumerate(raised) if error is not None] == [3]
    assert isinstance(raised[3], ValueError)
    assert len(estimator.infer(FRAME, BOX * 4)) == 4


def test_requests_of_one_shape_are_made_while_others_run() -> None:
    making, go_on = threading.Event(), threading.Event()

    def make(size: int) -> list[int]:
        if size == 8:
            making.set()
            assert go_on.wait(LIMIT_S)
        return [size]

    pools = RequestPools(make, "own")
    slow = threading.Thread(target=lambda: pools.lend(8).__enter__(), daemon=True)
    slow.start()
    assert making.wait(LIMIT_S)

    def small(_: int) -> None:
        with pools.lend(1) as request:
            assert request == 1

    assert in_threads(4, small) == [None] * 4
    go_on.set()
    slow.join(LIMIT_S)
    assert not slow.is_alive()


def test_requests_that_could_not_be_made_are_made_by_the_next_call() -> None:
    tried: list[int] = []

    def make(size: int) -> list[int]:
        tried.append(size)
        if len(tried) == 1:
            raise BackendError("no memory")
        return [size]

    pools = RequestPools(make, "own")
    with pytest.raises(BackendError, match="no memory"), pools.lend(1):
        pass
    with pools.lend(1) as request:
        assert request == 1


def test_a_request_serves_one_call_at_a_time_and_waiting_calls_outlive_close() -> None:
    pools = RequestPools(lambda size: [size, size], "own")
    inside = most = served = 0
    lock = threading.Lock()

    def call(_: int) -> None:
        nonlocal inside, most, served
        with pools.lend(1):
            with lock:
                inside += 1
                most, served = max(most, inside), served + 1
                if served == 4:
                    pools.close()
            time.sleep(0.02)
            with lock:
                inside -= 1

    raised = in_threads(8, call)
    assert most == 2
    assert served + sum(isinstance(error, BackendError) for error in raised) == 8
    with pytest.raises(BackendError, match="own: the model is closed"), pools.lend(1):
        pass


def test_a_thread_that_holds_every_request_is_not_let_wait_for_itself() -> None:
    pools = RequestPools(lambda size: [size, size], "own")
    with pools.lend(1), pools.lend(1):  # as a signal's handler calls within a call
        with pytest.raises(BackendError, match=r"own: called within a call of the same thread"), pools.lend(1):
            pass
        with pools.lend(2) as other:
            assert other == 2
    with pools.lend(1), pools.lend(1):  # both were given back
        pass


def test_requests_are_lent_in_the_order_of_the_calls() -> None:
    """A thread that gives back and asks again at once comes after those that wait."""
    pools = RequestPools(lambda size: [size], "own")
    served: list[int] = []

    def call(number: int) -> None:
        for _ in range(10):
            with pools.lend(1):
                served.append(number)
                time.sleep(0.002)

    assert in_threads(4, call) == [None] * 4
    middle = served[8:-8]
    longest = max(
        later - earlier
        for number in range(4)
        for places in [[place for place, one in enumerate(middle) if one == number]]
        for earlier, later in pairwise(places)
    )
    assert longest <= 8  # 4 in turn; twice that, since a thread may be late to ask

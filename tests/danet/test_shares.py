from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.backends.openvino_backend import OpenVinoBackend
from danet.batching import BatchedModel
from danet.errors import BackendError, InputError
from danet.estimator import PoseEstimator
from danet.scenes.scene import Scene
from danet.shares import MOST_SHARES, Shares, plan_shares, share_count
from danet.tuning.settings import Settings


class Calls:
    """A backend that can be split and tells who called it."""

    share_batch = 2

    def __init__(self) -> None:
        self.split_into: list[int] = []
        self.closed = 0
        self.refuses = False

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros((len(images), 1, 1, 1), np.float32)

    def side_by_side(self, calls: int) -> Calls:
        if self.refuses:
            raise BackendError("the file is gone")
        self.split_into.append(calls)
        return self

    def close(self) -> None:
        self.closed += 1


WHOLE = BatchedModel(Calls(), (8,))


@given(st.integers(0, 200), st.integers(1, 64))
def test_every_person_is_in_one_slice(persons: int, shares: int) -> None:
    slices, rest = plan_shares(persons, shares)
    everybody = [number for one in (*slices, rest) for number in range(one.start, one.stop)]
    assert everybody == list(range(persons))
    sizes = [one.stop - one.start for one in slices]
    assert len(sizes) <= shares
    assert not sizes or max(sizes) - min(sizes) <= 1
    # those left over would keep no more than half of the shares busy
    assert 2 * (rest.stop - rest.start) <= shares


@pytest.mark.parametrize(
    ("persons", "shares", "sizes", "rest"),
    [(1, 2, [], 1), (3, 2, [1, 1], 1), (8, 2, [4, 4], 0), (3, 4, [1, 1, 1], 0), (6, 4, [1, 1, 1, 1], 2)],
)
def test_plans(persons: int, shares: int, sizes: list[int], rest: int) -> None:
    slices, left = plan_shares(persons, shares)
    assert ([one.stop - one.start for one in slices], left.stop - left.start) == (sizes, rest)


def test_one_share_to_a_thread_and_few_at_most() -> None:
    assert share_count(Calls(), None, 2, None) == 2
    assert share_count(Calls(), None, 64, None) == MOST_SHARES
    # as many threads at work as there are: 6 threads are 3 x 2, not 4 x 1
    assert [share_count(Calls(), None, threads, None) for threads in range(1, 13)] == [
        1,
        2,
        3,
        4,
        1,
        3,
        1,
        4,
        3,
        2,
        2,
        4,
    ]
    assert share_count(Calls(), 16, 64, None) == 16
    assert share_count(Calls(), 16, 3, None) == 3
    assert share_count(Calls(), 1, 64, None) == 1
    assert share_count(Calls(), None, 4, (1,)) == 4
    assert share_count(Calls(), None, 4, (8,)) == 1  # a share would be padded to eight persons


def test_a_backend_without_side_by_side_is_not_split() -> None:
    class Plain:
        def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            raise NotImplementedError

        def close(self) -> None:
            raise NotImplementedError

    assert share_count(Plain(), None, 4, None) == 1


def test_shares_are_done_by_threads_of_their_own() -> None:
    shares = Shares(Calls(), 3, 8)
    shares.do(9, WHOLE, lambda *_: None)  # the first call is tried for itself
    together = threading.Barrier(3, timeout=10)  # nobody passes before all three are at work
    seen: dict[str, slice] = {}

    def work(persons: slice, model: BatchedModel) -> None:
        together.wait()
        assert model is not WHOLE
        assert model.sizes == (1, 2)
        seen[threading.current_thread().name] = persons

    shares.do(9, WHOLE, work)
    assert sorted(seen.values(), key=lambda one: one.start) == [slice(0, 3), slice(3, 6), slice(6, 9)]


def test_those_left_over_are_done_by_the_whole_model() -> None:
    done: list[tuple[slice, bool]] = []
    Shares(Calls(), 2, 8).do(5, WHOLE, lambda persons, model: done.append((persons, model is WHOLE)))
    assert sorted(done, key=lambda one: one[0].start) == [
        (slice(0, 2), False),
        (slice(2, 4), False),
        (slice(4, 5), True),
    ]


def test_too_few_persons_open_nothing() -> None:
    backend, done = Calls(), []
    Shares(backend, 2, 8).do(1, WHOLE, lambda persons, model: done.append((persons, model)))
    assert done == [(slice(0, 1), WHOLE)]
    assert not backend.split_into


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_comes_when_all_shares_are_done(failing: int) -> None:
    ended = []

    def work(persons: slice, _: BatchedModel) -> None:
        if persons.start == 3 * failing:
            raise BackendError(f"share {failing}")
        ended.append(persons)

    shares = Shares(Calls(), 3, 8)
    shares.do(9, WHOLE, lambda *_: None)  # the first call is tried for itself
    with pytest.raises(BackendError, match=f"share {failing}"):
        shares.do(9, WHOLE, work)
    assert len(ended) == 2


def test_a_plan_that_cannot_be_compiled_is_given_up() -> None:
    """On a machine with little memory whole calls work where several graphs at once have no room."""
    done = []

    def work(persons: slice, model: BatchedModel) -> None:
        if model is not WHOLE:
            raise BackendError("cannot compile")
        done.append(persons)

    backend = Calls()
    shares = Shares(backend, 2, 8)
    for _ in range(2):
        shares.do(8, WHOLE, work)
    assert done == [slice(0, 8)] * 2
    assert backend.split_into == [2]
    assert backend.closed == 1


def test_a_further_batch_size_that_cannot_be_compiled_is_given_up_too() -> None:
    done: list[tuple[slice, bool]] = []

    def work(persons: slice, model: BatchedModel) -> None:
        if model is not WHOLE and persons.stop - persons.start > 1:
            raise BackendError("cannot compile batches of two")
        done.append((persons, model is WHOLE))

    backend = Calls()
    shares = Shares(backend, 2, 8)
    shares.do(2, WHOLE, work)
    assert sorted(done, key=str) == [(slice(0, 1), False), (slice(1, 2), False)]
    done.clear()
    shares.do(4, WHOLE, work)
    shares.do(2, WHOLE, work)
    assert done == [(slice(0, 4), True), (slice(0, 2), True)]
    assert backend.closed == 1


def test_closed_while_it_opens() -> None:
    """As by a signal's handler, which Python runs in the thread that opens: no lock may stop it."""

    class Closing(Calls):
        def side_by_side(self, calls: int) -> Calls:
            shares.close()
            return super().side_by_side(calls)

    backend, done = Closing(), []
    shares = Shares(backend, 2, 8)
    shares.do(8, WHOLE, lambda persons, model: done.append((persons, model)))
    assert done == [(slice(0, 8), WHOLE)]
    assert backend.closed == 1


def test_used_while_it_opens() -> None:
    """As by a signal's handler that wants poses, too."""
    done = []

    class Calling(Calls):
        def side_by_side(self, calls: int) -> Calls:
            if not self.split_into:
                self.split_into.append(calls)
                shares.do(2, WHOLE, lambda persons, _: done.append(persons))
            return super().side_by_side(calls)

    backend = Calling()
    shares = Shares(backend, 2, 8)
    shares.do(2, WHOLE, lambda persons, _: done.append(persons))
    assert sorted(done, key=str) == [slice(0, 1)] * 2 + [slice(1, 2)] * 2
    assert backend.closed == 1  # the plan that came second
    shares.close()


def test_shares_keep_to_the_largest_batch_of_their_use() -> None:
    sizes = []
    Shares(Calls(), 2, 8).do(8, BatchedModel(Calls(), (1,)), lambda _, model: sizes.append(model.sizes))
    assert sizes == [(1,), (1,)]


LATE = """
import sys, threading, time
import numpy as np
from danet import PoseEstimator
from danet.tuning.settings import Settings

estimator = PoseEstimator(sys.argv[1], settings=Settings(threads=2))
boxes = [[10, 10, 90, 110]] * 4

def work():
    estimator.infer(np.zeros((120, 160, 3), np.uint8), boxes)
    threading.main_thread().join()
    time.sleep(0.2)
    print(len(estimator.infer(np.zeros((120, 160, 3), np.uint8), boxes)), "persons")

threading.Thread(target=work).start()
"""


def test_threads_that_outlive_the_main_thread_go_on(tiny_ir: Path) -> None:
    """Python starts no thread of a pool any more then, but waits for those that work."""
    done = subprocess.run(
        [sys.executable, "-c", LATE, tiny_ir], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("4 persons", 0), done.stderr


def test_what_cannot_be_split_is_done_whole() -> None:
    backend = Calls()
    backend.refuses = True
    done = []
    shares = Shares(backend, 2, 8)
    for _ in range(2):
        shares.do(8, WHOLE, lambda persons, model: done.append((persons, model)))
    assert done == [(slice(0, 8), WHOLE)] * 2


def test_closing_ends_the_threads_and_the_second_plan() -> None:
    others = _share_threads()
    backend = Calls()
    shares = Shares(backend, 3, 8)
    shares.do(9, WHOLE, lambda *_: None)
    started = _share_threads() - others
    shares.close()
    shares.close()
    assert backend.closed == 1
    assert started
    assert _ended(started)


def _share_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("danet-share")}


def _ended(threads: set[threading.Thread]) -> bool:
    """Whether threads end; one that another test's estimator has open is not among them."""
    gc.collect()
    for thread in threads:
        thread.join(10)
    return not any(thread.is_alive() for thread in threads)


SPLIT = Settings(threads=2)
NOT_SPLIT = Settings(threads=2, shares=1)


@pytest.mark.parametrize("settings", [SPLIT, NOT_SPLIT, Settings(threads=2, batch_size=8, stream_batch_size=1)])
def test_warm_up_leaves_nothing_to_compile(
    tiny_ir: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    boxes = np.concatenate([scene.boxes] * 9)
    with PoseEstimator(tiny_ir, settings=settings) as estimator:
        estimator.warm_up()

        def refuse(*_: Any) -> None:
            raise AssertionError("compiled after the warm-up")

        monkeypatch.setattr(OpenVinoBackend, "_compiled", refuse)
        for persons in range(1, 10):
            estimator.infer(scene.image, boxes[:persons])
        assert len(list(estimator.stream((scene.image, boxes[:persons]) for persons in range(1, 10)))) == 9


def test_shares_go_side_by_side_after_warm_up(tiny_ir: Path, scene: Scene) -> None:
    """The first one is not tried by itself any more; by the barrier, not by the clock."""
    with PoseEstimator(tiny_ir, settings=SPLIT) as estimator:
        estimator.warm_up()
        opened = estimator._opened
        assert opened is not None
        together = threading.Barrier(2, timeout=60)
        opened.shares.do(8, WHOLE, lambda *_: together.wait() and None)


def test_warm_up_goes_on_without_shares_that_fail(tiny_ir: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `infer` does: an app that calls it first must not end where it would have worked."""
    compiled = OpenVinoBackend._compiled

    def refuse(self: OpenVinoBackend, *arguments: Any) -> Any:
        if self._options.streams > 1:
            raise RuntimeError("out of memory")
        return compiled(self, *arguments)

    monkeypatch.setattr(OpenVinoBackend, "_compiled", refuse)
    with PoseEstimator(tiny_ir, settings=SPLIT) as estimator:
        estimator.warm_up()
        monkeypatch.setattr(OpenVinoBackend, "_compiled", lambda *_: pytest.fail("compiled after the warm-up"))
        assert len(estimator.infer(scene.image, np.concatenate([scene.boxes] * 8))) == 8 * len(scene.boxes)


@pytest.mark.parametrize("kind", ["tiny_ir", pytest.param("tiny_onnx", marks=pytest.mark.long)])
def test_the_same_poses_as_in_one_piece(kind: str, request: pytest.FixtureRequest, scene: Scene) -> None:
    if kind == "tiny_onnx":
        pytest.importorskip("onnxruntime")
    path = request.getfixturevalue(kind)
    boxes = np.concatenate([scene.boxes + offset for offset in range(0, 40, 5)])
    with PoseEstimator(path, settings=SPLIT) as split, PoseEstimator(path, settings=NOT_SPLIT) as plain:
        assert (split._opened and split._opened.shares.count, plain._opened and plain._opened.shares.count) == (2, 1)
        for persons in range(10):
            found, expected = (one.infer(scene.image, boxes[:persons]) for one in (split, plain))
            assert np.abs(found.keypoints - expected.keypoints).max(initial=0) < 0.01
            assert np.abs(found.scores - expected.scores).max(initial=0) < 1e-4
            assert len(found) == persons
        # shares that end in the midst of a frame, and frames without anybody
        frames = [(scene.image[:, ::-1], boxes[:3]), (scene.image, boxes[:0]), (scene.image, boxes[3:8])]
        for found, expected in zip(split.infer_batch(frames), plain.infer_batch(frames), strict=True):
            assert np.abs(found.keypoints - expected.keypoints).max(initial=0) < 0.01
        crops = np.random.default_rng(0).integers(0, 256, (7, *split.spec.input_size, 3), np.uint8)
        assert np.abs(split.heatmaps(crops) - plain.heatmaps(crops)).max() < 1e-4


def test_openvino_has_a_stream_to_each_share(tiny_ir: Path, scene: Scene) -> None:
    with PoseEstimator(tiny_ir, settings=SPLIT) as estimator:
        estimator.infer(scene.image, np.concatenate([scene.boxes] * 8)[:8])
        opened = estimator._opened
        assert opened is not None
        shared = opened.shares.opened_model()
        assert shared is not None
        assert isinstance(shared.backend, OpenVinoBackend)
        assert shared.backend._pools._pools is not None
        (pool,) = shared.backend._pools._pools.values()  # batches of two alone
        assert pool._free[0].get_compiled_model().get_property("NUM_STREAMS") == 2
        compiled = pool._free[0].get_compiled_model()
        assert compiled.get_property("INFERENCE_NUM_THREADS") == 2
        # pinned, two estimators of one thread each would work on the same core (docs/performance.md)
        assert compiled.get_property("ENABLE_CPU_PINNING") is False


def test_closed_estimators_leave_no_threads(tiny_ir: Path, scene: Scene) -> None:
    others = _share_threads()
    estimator = PoseEstimator(tiny_ir, settings=SPLIT)
    for _ in range(2):  # the first call proves the second plan in this thread
        estimator.infer(scene.image, np.concatenate([scene.boxes] * 4)[:4])
    started = _share_threads() - others
    estimator.close()
    with pytest.raises(BackendError, match="closed"):
        estimator.infer(scene.image, scene.boxes)
    assert started
    assert _ended(started)


def test_streams_of_frames_are_not_split_further(tiny_ir: Path, scene: Scene) -> None:
    boxes = np.concatenate([scene.boxes] * 4)[:4]
    with PoseEstimator(tiny_ir, settings=Settings(threads=2, streams=2)) as estimator:
        list(estimator.stream([(scene.image, boxes)] * 3))
        assert estimator._opened is not None
        assert estimator._opened.shares._model is None


def test_an_onnx_file_that_was_replaced_is_not_opened_again(tiny_onnx: Path, tmp_path: Path, scene: Scene) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    shutil.copy(tiny_onnx, path)
    boxes = np.concatenate([scene.boxes] * 4)[:4]
    with PoseEstimator(path, settings=SPLIT) as estimator, PoseEstimator(path, settings=NOT_SPLIT) as plain:
        path.unlink()
        shutil.copy(tiny_onnx, path)
        assert (
            np.abs(estimator.infer(scene.image, boxes).keypoints - plain.infer(scene.image, boxes).keypoints).max()
            < 0.01
        )
        assert estimator._opened is not None
        assert estimator._opened.shares._model is None


@pytest.mark.parametrize("shares", [0, -1, 65])
def test_impossible_numbers_are_refused(shares: int) -> None:
    with pytest.raises(InputError, match=f"shares {shares}, expected 1..64"):
        Settings(shares=shares)

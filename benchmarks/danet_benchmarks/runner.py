"""One case, opened and measured in a worker process of its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from danet.crop import crop_affines, crop_persons, to_frame
from danet.decode import decode
from danet.errors import BackendError
from danet.estimator import PoseEstimator
from danet.model_spec import Precision
from danet.poses import Poses
from danet.tuning.settings import Settings
from danet_benchmarks.measurements import FrameRound, Least, Opening, Round, Scenes
from danet_benchmarks.memory import peak_rss_mib
from danet_benchmarks.results import Case, Stages

HEATMAP_TOLERANCE = 1e-4
"""Part of the warm-up's largest response by which a measured heatmap may differ from it."""
MOVED_TOLERANCE = 0.01
"""Share of the keypoints that may move: the decoder picks cells, so one that ties may jump."""
STEADY_PX = 0.01
T = TypeVar("T")


class Runner:
    """An open model, with what it answered in the warm-up.

    Args:
        case: backend, batch, threads and streams.
        path: the model file.
        hint: the arithmetic asked of the backend.
    """

    def __init__(self, case: Case, path: Path, hint: Precision | None) -> None:
        start = time.perf_counter()
        self._estimator = PoseEstimator(
            path,
            backend=case.backend,
            precision=hint,
            threads=case.threads,
            batch_size=case.batch,
            settings=Settings(),  # not what danet tune kept
        )
        opened = time.perf_counter()
        self._crops = np.zeros((case.batch, *self._estimator.spec.input_size, 3), np.uint8)
        self._estimator.heatmaps(self._crops)
        first = time.perf_counter() - opened
        self._opening = Opening(self._estimator.precision, opened - start, first, peak_rss_mib())
        self._streams = case.streams
        # kept, since OpenMP runtimes make a new team for each new thread that calls them
        self._pool = ThreadPoolExecutor(case.streams)

    def opening(self) -> Opening:
        """What opening the model took."""
        return self._opening

    def warm_up(self, scenes: Sequence[Scenes]) -> float:
        """Run everything once, unmeasured, and keep the answers; gives the process's memory then, MiB.

        Args:
            scenes: by the number of persons, ascending, each with at least one frame.

        Raises:
            BackendError: an answer is not finite.
        """
        self._scenes = tuple(scenes)
        frame, boxes = scenes[-1].frames[0]
        crops = crop_persons(frame, crop_affines(boxes.astype(np.float64), self._estimator.spec), self._estimator.spec)
        self._crops = np.ascontiguousarray(np.resize(crops, self._crops.shape))  # repeated as often as needed
        self._heatmaps = self._estimator.heatmaps(self._crops)
        if not np.isfinite(self._heatmaps).all():
            raise BackendError("the network answers with values that are not finite")
        self._poses = {one.persons: [self._estimator.infer(*frame) for frame in one.frames] for one in scenes}
        return peak_rss_mib()

    def measure(self, least: Least) -> Round:
        """One round: network only, end to end at each number of persons, stages.

        Raises:
            BackendError: an answer differs from the warm-up's.
        """
        network_pps = self._measure_network(least)
        measured = [self._measure_frames(scenes, least) for scenes in self._scenes]
        end_to_end = tuple(one for one, _ in measured)
        cpu_s = sum(seconds for _, seconds in measured)
        persons = sum(len(one.latencies_ms) * one.persons for one in end_to_end)
        return Round(network_pps, end_to_end, self._measure_stages(self._scenes[-1], least), cpu_s / persons)

    def _measure_network(self, least: Least) -> float:
        """Persons per second through the network, with the case's number of calls in flight."""
        each = Least(least.seconds, -(-least.persons // self._streams))
        self._in_flight(lambda: self._call_network(Least(0.0, 1)))  # the caches hold what other cases used
        start = time.perf_counter()
        answers = self._in_flight(lambda: self._call_network(each))
        seconds = time.perf_counter() - start
        for _, heatmaps in answers:
            self._check_heatmaps(heatmaps)
        return sum(calls for calls, _ in answers) * len(self._crops) / seconds

    def _in_flight(self, work: Callable[[], T]) -> list[T]:
        """The same work in as many threads as the case has streams."""
        return [one.result() for one in [self._pool.submit(work) for _ in range(self._streams)]]

    def _call_network(self, least: Least) -> tuple[int, NDArray[np.float32]]:
        """How many calls were made, and the answer of the last."""
        calls = _repeat(lambda: self._estimator.heatmaps(self._crops), least, len(self._crops))
        return deque(enumerate(calls, 1), maxlen=1)[0]  # keeps the last alone

    def _measure_frames(self, scenes: Scenes, least: Least) -> tuple[FrameRound, float]:
        """The frames after an untimed one, and the processor seconds, of all threads, that they took together."""
        frames = cycle(scenes.frames)
        self._estimator.infer(*scenes.frames[0])
        start = time.process_time()
        timed = list(_repeat(lambda: _timed(lambda: self._estimator.infer(*next(frames))), least, scenes.persons))
        cpu_s = time.process_time() - start
        for (_, poses), expected in zip(timed, cycle(self._poses[scenes.persons]), strict=False):
            _check_poses(poses, expected)
        seconds = [one for one, _ in timed]
        pps = len(seconds) * scenes.persons / sum(seconds)
        return FrameRound(scenes.persons, pps, tuple(1000 * one for one in seconds)), cpu_s

    def _measure_stages(self, scenes: Scenes, least: Least) -> Stages:
        """Wall time to a person of the functions that `PoseEstimator.infer` is made of."""
        frames = cycle(scenes.frames)
        half = Least(least.seconds / 2, least.persons // 2)
        stamps = np.array(list(_repeat(lambda: self._staged(*next(frames)), half, scenes.persons)))  # (calls, 4)
        crop, network, decoding = np.diff(stamps, axis=1).mean(axis=0) / scenes.persons * 1000
        return Stages(float(crop), float(network), float(decoding))

    def _staged(self, frame: NDArray[np.uint8], boxes: NDArray[np.float32]) -> tuple[float, ...]:
        """The clock before and after each stage, seconds."""
        spec = self._estimator.spec
        start = time.perf_counter()
        affines = crop_affines(boxes.astype(np.float64), spec)
        crops = crop_persons(frame, affines, spec)
        cropped = time.perf_counter()
        heatmaps = self._estimator.heatmaps(crops)
        ran = time.perf_counter()
        points, _ = decode(heatmaps, spec)
        to_frame(points, affines)
        return start, cropped, ran, time.perf_counter()

    def _check_heatmaps(self, heatmaps: NDArray[np.float32]) -> None:
        limit = HEATMAP_TOLERANCE * float(np.abs(self._heatmaps).max())
        difference = float(np.abs(heatmaps - self._heatmaps).max())
        if not difference <= limit:  # NaN is not
            raise BackendError(f"heatmaps differ by {difference:.3g} from the warm-up's, allowed are {limit:.3g}")


def _repeat(call: Callable[[], T], least: Least, persons: int) -> Iterator[T]:
    """The results of calls of `persons` persons each, until both time and persons suffice; at least one."""
    end = time.perf_counter() + least.seconds
    done = 0
    while not done or done < least.persons or time.perf_counter() < end:
        yield call()
        done += persons


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    """Seconds and result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _check_poses(found: Poses, expected: Poses) -> None:
    """Refuse poses that are not those of the warm-up.

    Raises:
        BackendError: another number of persons, or keypoints that moved.
    """
    if found.keypoints.shape != expected.keypoints.shape:
        raise BackendError(f"{len(found)} persons, in the warm-up there were {len(expected)}")
    steady = np.linalg.norm(found.keypoints - expected.keypoints, axis=2) <= STEADY_PX
    moved = steady.size - int(steady.sum())
    if moved > max(1, MOVED_TOLERANCE * steady.size):
        raise BackendError(f"{moved} of {steady.size} keypoints are elsewhere than in the warm-up")

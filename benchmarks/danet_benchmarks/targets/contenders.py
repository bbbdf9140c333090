"""Who is timed: each in a process of its own, asked in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import numpy as np

from danet.crop import crop_affines, crop_persons
from danet.estimator import PoseEstimator
from danet.tuning.settings import Settings
from danet_benchmarks.measurements import Scenes
from danet_benchmarks.targets.naive import NaivePose

WARM_UP = 3


class Product:
    """PoseEstimator with its defaults.

    Args:
        path: the model file.
        threads: to each estimator.
        estimators: in this process, all working at the same time.
    """

    def __init__(self, path: Path, threads: int, estimators: int = 1) -> None:
        self._estimators = [PoseEstimator(path, threads=threads, settings=Settings()) for _ in range(estimators)]
        self._pool = ThreadPoolExecutor(estimators)

    def frame_seconds(self, scenes: Scenes, seconds: float) -> tuple[tuple[float, ...], ...]:
        """Of each frame, end to end, for at least so long; with several estimators, of a frame for each of them."""

        def call() -> None:
            list(self._pool.map(lambda one: one.infer(*next(frames)), self._estimators))

        frames = cycle(scenes.frames)
        if len(self._estimators) > 1:
            return _timed(seconds, call)
        return _timed(seconds, lambda: self._estimators[0].infer(*next(frames)))

    def frame_and_network_seconds(self, scenes: Scenes, seconds: float) -> tuple[tuple[float, ...], ...]:
        """The same, and in turn with it the network alone on the crops of a frame, so that a busy moment hits both."""
        (estimator, *_), frames = self._estimators, cycle(scenes.frames)
        frame, boxes = scenes.frames[0]
        crops = crop_persons(frame, crop_affines(boxes.astype(np.float64), estimator.spec), estimator.spec)
        return _timed(2 * seconds, lambda: estimator.infer(*next(frames)), lambda: estimator.heatmaps(crops))

    def keypoints(self, scenes: Scenes) -> np.ndarray:
        """(persons, K, 2) of all frames."""
        return np.concatenate([self._estimators[0].infer(*frame).keypoints for frame in scenes.frames])


class Naive:
    """ONNX Runtime as a user would call it; see `NaivePose`."""

    def __init__(self, path: Path, threads: int) -> None:
        self._pose = NaivePose(path, threads)

    def frame_seconds(self, scenes: Scenes, seconds: float) -> tuple[tuple[float, ...], ...]:
        """Of each frame, end to end, for at least so long."""
        frames = cycle(scenes.frames)
        return _timed(seconds, lambda: self._pose.infer(*next(frames)))

    def keypoints(self, scenes: Scenes) -> np.ndarray:
        """(persons, K, 2) of all frames."""
        return np.concatenate([self._pose.infer(*frame)[:, :, :2] for frame in scenes.frames])


def _timed(seconds: float, *calls: Callable[[], object]) -> tuple[tuple[float, ...], ...]:
    """Seconds of each call, the calls in turn, after some that are not timed: the caches hold what others used."""
    for _ in range(WARM_UP):
        for call in calls:
            call()
    taken: tuple[list[float], ...] = tuple([] for _ in calls)
    end = time.perf_counter() + seconds
    while not taken[0] or time.perf_counter() < end:
        for call, times in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return tuple(tuple(times) for times in taken)

"""Estimators to be timed, as an app calls them: frame and boxes in, poses out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice, product

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.estimator import PoseEstimator
from danet.opencv_threads import set_opencv_threads
from danet.scenes.scene import render_scene
from danet.tuning.rounds import Seconds

FRAME_SIZE = (720, 1280)
"""Height and width in pixels."""
FRAMES = 2
FIRST_SEED = 4_000
"""Of the scenes; any will do, as long as it stays."""
TIMING_S = 0.15
"""What one timing lasts at least: the clock and the scheduler are lost in it."""
MOST_FRAMES = 64
LEAST_STREAMED = 4
"""Frames to a timing of `stream`, at least; what does not overlap, the first crop and the last decoding, is a
hundredth of it then."""


@dataclass(frozen=True)
class Load:
    """Frames with so many persons each."""

    persons: int
    frames: tuple[tuple[NDArray[np.uint8], NDArray[np.float32]], ...]
    """Frame (H, W, 3) uint8 BGR and boxes (N, 4) float32 xyxy."""


def render_load(persons: int) -> Load:
    """Rendered frames of 1280x720: the same persons and boxes on every machine."""
    scenes = (render_scene(FIRST_SEED + index, FRAME_SIZE, persons) for index in range(FRAMES))
    return Load(persons, tuple((scene.image, scene.boxes) for scene in scenes))


@contextmanager
def opencv_threads() -> Iterator[int]:
    """OpenCV's number of threads, which is one for the process and put back at the end."""
    before = cv2.getNumThreads()
    try:
        yield before
    finally:
        set_opencv_threads(before)


def infer_seconds(estimator: PoseEstimator, load: Load, count: int) -> float:
    """Seconds per frame of `infer`, one frame after the other."""
    start = time.perf_counter()
    for frame in islice(cycle(load.frames), count):
        estimator.infer(*frame)
    return (time.perf_counter() - start) / count


def stream_seconds(estimator: PoseEstimator, load: Load, count: int) -> float:
    """Seconds per frame of `stream`, from the first frame's reading to the last one's poses.

    The frames are a multiple of the streams, so that at the end none of them idles while another
    works, and the same number at least for any settings, so that filling and emptying cost all alike.
    """
    streams = estimator.settings.streams
    frames = -(-max(count, LEAST_STREAMED) // streams) * streams
    start = time.perf_counter()
    for _ in estimator.stream(islice(cycle(load.frames), frames)):
        pass
    return (time.perf_counter() - start) / frames


Use = Callable[[PoseEstimator, Load, int], float]
"""Seconds per frame that an estimator takes for so many frames of a load."""


class Timing:
    """An estimator in some uses and under some loads; warmed up when it is made.

    Args:
        estimator: to be timed.
        uses: how it is called.
        loads: what it is given.
        cores: OpenCV's threads where the settings leave them open.
    """

    def __init__(self, estimator: PoseEstimator, uses: Sequence[Use], loads: Sequence[Load], cores: int) -> None:
        self._estimator = estimator
        self._loads = tuple(loads)
        self._cores = cores
        self._set_threads()
        self._cases = []
        for use, load in product(uses, self._loads):
            use(estimator, load, 1)  # the network is compiled here
            enough = 1 + int(TIMING_S / use(estimator, load, 1))
            self._cases.append((use, load, min(enough, MOST_FRAMES)))

    def time(self) -> Seconds:
        """Seconds per frame: the loads in the first use, then in the next."""
        self._set_threads()
        self._estimator.infer(*self._loads[0].frames[0])  # unmeasured: the caches hold what the others used
        return tuple(use(self._estimator, load, count) for use, load, count in self._cases)

    def _set_threads(self) -> None:
        """OpenCV's are one number for the process: the last estimator that was opened has set it."""
        set_opencv_threads(self._estimator.settings.threads or self._cores)

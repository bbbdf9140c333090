"""Poses on a visitor's webcam: one picture after the other, persons followed between them."""

from __future__ import annotations

import time
from collections import deque
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from danet.detectors.base import Detector
from danet.estimator import PoseEstimator
from danet.poses import Poses
from danet.tracking.tracker import Tracker
from danet.video.timeline import Arrivals

RATE_WINDOW = 20
"""Latest pictures over which the rate is taken."""


class LiveSession:
    """What is remembered of one visitor's webcam.

    Args:
        choice: what was chosen (model, backend, detector); for another choice make a new session.
    """

    def __init__(self, choice: tuple[str, ...]) -> None:
        self.choice = choice
        self._tracker = Tracker()
        self._ends: deque[float] = deque(maxlen=RATE_WINDOW + 1)
        self._arrivals = Arrivals()
        self._lock = Lock()  # a tracker's pictures have an order

    @property
    def fps(self) -> float:
        """Pictures per second, as the visitor sees them; 0 until there are two."""
        span = self._ends[-1] - self._ends[0] if self._ends else 0.0
        return (len(self._ends) - 1) / span if span > 0 else 0.0

    def step(self, picture: NDArray[np.uint8], estimator: PoseEstimator, detector: Detector | None) -> Poses:
        """The poses of the next picture (H, W, 3) uint8 BGR; with ids where there is a detector.

        Raises:
            DetectorError: the detector failed.
            BackendError: the network failed.
        """
        with self._lock:
            poses = estimator.infer(picture) if detector is None else self._track(picture, estimator, detector)
            self._ends.append(time.monotonic())
        return poses

    def _track(self, picture: NDArray[np.uint8], estimator: PoseEstimator, detector: Detector) -> Poses:
        time_s = self._arrivals.next(time.monotonic())
        found = detector.detect(picture) if self._tracker.detection_due_at(time_s) else None
        boxes = self._tracker.boxes((picture.shape[0], picture.shape[1]), time_s, found)
        return self._tracker.update(estimator.infer(picture, boxes))

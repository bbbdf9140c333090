"""Counts and times of a running pipeline, in memory that does not grow with it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import numpy as np

WINDOW = 300
"""Latest frames over which rates and latencies are taken."""


@dataclass(frozen=True)
class Stats:
    """How a pipeline does.

    Args:
        frames: done so far.
        dropped: by a live source, since they were not taken in time.
        detections: runs of the detector.
        persons: in all frames together.
        fps: frames per second over the latest `WINDOW` frames, the caller's own work between them included.
        latency_p50_ms: from a frame being taken out of the source to its poses, over the latest frames.
        latency_p95_ms: of the same.
        detector_ms: mean of one run over all.
        poses_ms: mean of the estimator's work for one frame over all.
        elapsed_s: since the first frame was asked for.
    """

    frames: int
    dropped: int
    detections: int
    persons: int
    fps: float
    latency_p50_ms: float
    latency_p95_ms: float
    detector_ms: float
    poses_ms: float
    elapsed_s: float


class Meter:
    """Collects what `Stats` tells."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._ends: deque[float] = deque([self._start], maxlen=WINDOW + 1)
        self._latencies: deque[float] = deque(maxlen=WINDOW)
        self._frames = self._detections = self._persons = 0
        self._detector_s = self._poses_s = 0.0

    def detected(self, seconds: float) -> None:
        """A run of the detector is over."""
        self._detections += 1
        self._detector_s += seconds

    def done(self, persons: int, poses_s: float, latency_s: float) -> None:
        """A frame is done."""
        self._frames += 1
        self._persons += persons
        self._poses_s += poses_s
        self._latencies.append(latency_s)
        self._ends.append(time.monotonic())

    def stats(self, dropped: int) -> Stats:
        """The figures as of now."""
        span = self._ends[-1] - self._ends[0]
        latencies = 1000 * np.array(list(self._latencies) or [0.0])
        return Stats(
            frames=self._frames,
            dropped=dropped,
            detections=self._detections,
            persons=self._persons,
            fps=(len(self._ends) - 1) / span if span > 0 else 0.0,
            latency_p50_ms=float(np.percentile(latencies, 50)),
            latency_p95_ms=float(np.percentile(latencies, 95)),
            detector_ms=1000 * self._detector_s / max(self._detections, 1),
            poses_ms=1000 * self._poses_s / max(self._frames, 1),
            elapsed_s=time.monotonic() - self._start,
        )

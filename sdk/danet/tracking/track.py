"""One person over time: last pose, motion, and what is expected next."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp

import numpy as np
from numpy.typing import NDArray

from danet.tracking.boxes import keypoint_box
from danet.tracking.one_euro import OneEuroFilter

VELOCITY_S = 0.2
"""Time constant of the averaged velocity, seconds."""
COAST_S = 1.0
"""Time constant with which an unseen person is thought to slow down, seconds."""
BOX_S = 0.15
"""Time constant with which the box takes the size of the latest pose, seconds: an arm that is lost for a frame
does not cut the next crop."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """A pose that was found for a track."""

    points: NDArray[np.float64]
    """(K, 2), frame pixels."""
    scores: NDArray[np.float64]
    """(K,) in [0, 1]."""
    sure: NDArray[np.bool_]
    """(K,) keypoints that count; two or more."""
    time_s: float


@dataclass(eq=False)
class Track:
    """A person who is followed.

    Args:
        last: the pose that it was seen with.
        smoother: of its keypoints; None: not smoothed.
    """

    last: Sighting
    smoother: OneEuroFilter | None
    id: int | None = None
    """Given when the track is confirmed."""
    sightings: int = 1
    lost: bool = False
    undetected: int = 0
    """Detector runs in a row that did not find it."""
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    """(2,) pixels per second."""
    box: NDArray[np.float64] = field(init=False)
    """(4,) xyxy, frame pixels, at the time of the last sighting."""

    def __post_init__(self) -> None:
        self.box = keypoint_box(self.last.points, self.last.sure)

    def unseen_s(self, time_s: float) -> float:
        """Seconds since the last sighting."""
        return time_s - self.last.time_s

    def _way(self, time_s: float) -> NDArray[np.float64]:
        """Where it should have gone since: constant velocity that dies away."""
        return self.velocity * COAST_S * (1 - exp(-self.unseen_s(time_s) / COAST_S))

    def expected_points(self, time_s: float) -> NDArray[np.float64]:
        """Keypoints (K, 2) expected at a time."""
        return self.last.points + self._way(time_s)

    def expected_box(self, time_s: float) -> NDArray[np.float64]:
        """Box (4,) xyxy expected at a time."""
        return self.box + np.tile(self._way(time_s), 2)

    def see(self, sighting: Sighting) -> None:
        """Take a new pose in."""
        dt = max(self.unseen_s(sighting.time_s), 1e-3)
        common = self.last.sure & sighting.sure
        if common.any():
            way = np.median(sighting.points[common] - self.last.points[common], axis=0)
            self.velocity = self.velocity + (1 - exp(-dt / VELOCITY_S)) * (way / dt - self.velocity)
        else:
            way = np.zeros(2)
        fresh = keypoint_box(sighting.points, sighting.sure)
        gain = 1 - exp(-dt / BOX_S) if common.any() else 1.0
        carried = self.box + np.tile(way, 2)
        self.box = carried + gain * (fresh - carried)
        self.last, self.lost, self.sightings = sighting, False, self.sightings + 1

    def scale(self, factor: NDArray[np.float64]) -> None:
        """The frame's size changed by `factor` (2,) x, y."""
        last = self.last
        self.last = Sighting(last.points * factor, last.scores, last.sure, last.time_s)
        self.box, self.velocity = self.box * np.tile(factor, 2), self.velocity * factor
        if self.smoother is not None:
            self.smoother.moved(factor)

"""One person over time: last pose, motion, and what is expected next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import exp

import numpy as np
from numpy.typing import NDArray

from danet.tracking.boxes import keypoint_box
from danet.tracking.one_euro import OneEuroFilter, scaled

VELOCITY_S = 0.2
"""Time constant of the averaged velocity, seconds."""
COAST_S = 1.0
"""Time constant with which an unseen person is thought to slow down, seconds."""
GROW_S, SHRINK_S = 0.15, 1.0
"""Time constants with which the box takes the extent of the latest pose, seconds: slow to shrink, since legs that are
not sure for some frames must not be cut off by the next crop, which would never find them again."""
DETECTED_SHARE = 0.5
"""Of a detector's box in the box of a person whom it found."""


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
    detected: NDArray[np.float64] | None = None
    """(4,) xyxy, the detector's box of this person, where it ran and found it."""


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
        box = keypoint_box(self.last.points, self.last.sure)
        self.box = box if self.last.detected is None else _hull(box, self.last.detected)

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
        self.box = self._fitted(self.box + np.tile(way, 2), sighting, dt)
        self.last, self.lost, self.sightings = sighting, False, self.sightings + 1
        if sighting.detected is not None:
            self.undetected = 0

    def _fitted(self, box: NDArray[np.float64], sighting: Sighting, dt: float) -> NDArray[np.float64]:
        """The box carried along, drawn toward the pose and the detection."""
        fresh = keypoint_box(sighting.points, sighting.sure)
        outward = np.array((-1, -1, 1, 1)) * (fresh - box) > 0
        # the fewer keypoints are sure, the less they say of where the person ends
        shrink = (1 - exp(-dt / SHRINK_S)) * float(sighting.sure.mean())
        box = box + np.where(outward, 1 - exp(-dt / GROW_S), shrink) * (fresh - box)
        return box if sighting.detected is None else box + DETECTED_SHARE * (sighting.detected - box)

    def scale(self, factor: NDArray[np.float64]) -> None:
        """The frame's size changed by `factor` (2,) x, y."""
        last = self.last
        self.last = replace(last, points=scaled(last.points, factor), detected=None)
        self.box, self.velocity = self.box * np.tile(factor, 2), self.velocity * factor
        if self.smoother is not None:
            self.smoother.moved(factor)


def _hull(box: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The box (4,) around both."""
    return np.concatenate((np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])))

"""One-Euro filter for keypoints: steady where a person is still, without lag where it moves.

Casiez, Roussel, Vogel: 1 Euro Filter: a simple speed-based low-pass filter for noisy input in interactive systems
(CHI 2012). An exponential filter whose cutoff grows with the speed: cutoff = min_cutoff + beta * |speed|.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError
from danet.tracking.checks import expect_number


@dataclass(frozen=True)
class OneEuroSettings:
    """How strongly keypoints are smoothed.

    Args:
        min_cutoff: Hz; the cutoff of a keypoint at rest. Lower is steadier. The time constant at rest is
            1 / (2 pi min_cutoff) seconds.
        beta: Hz per (pixel per second): how fast the cutoff grows with speed. Higher lags less. `Tracker` counts
            in pixels of a person scaled to `REFERENCE_HEIGHT`, so that near and far persons are smoothed alike.
        speed_cutoff: Hz; the cutoff of the filter of the speed itself (`dcutoff` in the paper).
        reset_s: seconds after which the filter starts anew: without a sample, and each keypoint by itself without
            one that is half as trusted as its best.
        trusted_score: a keypoint of this score or more counts in full, less counts in proportion: its own filter
            gain is multiplied by score / trusted_score.
    """

    min_cutoff: float = 1.0
    beta: float = 0.05
    speed_cutoff: float = 1.0
    reset_s: float = 1.0
    trusted_score: float = 0.5

    def __post_init__(self) -> None:
        for name in ("min_cutoff", "speed_cutoff", "reset_s", "trusted_score"):
            expect_number(name, getattr(self, name), above_zero=True)
        expect_number("beta", self.beta, above_zero=False)


def smoothing_gain(cutoff: NDArray[np.float64] | float, dt: float) -> NDArray[np.float64]:
    """Share of a new sample in the filtered value, for cutoffs in Hz and a step of dt seconds (the paper's alpha)."""
    return np.asarray(1 / (1 + 1 / (2 * pi * np.asarray(cutoff, np.float64) * dt)))


class OneEuroFilter:
    """Smooths the keypoints of one person over time.

    Args:
        settings: how strongly.
    """

    def __init__(self, settings: OneEuroSettings | None = None) -> None:
        self.settings = OneEuroSettings() if settings is None else settings
        self._time_s: float | None = None
        self._points: NDArray[np.float64] = np.empty((0, 2))
        self._speed: NDArray[np.float64] = np.empty((0, 2))
        self._last: NDArray[np.float64] = np.empty((0, 2))
        self._last_s: NDArray[np.float64] = np.empty((0, 1))
        self._known: NDArray[np.float64] = np.empty((0, 1))
        """Trust in the best sample since the start."""
        self._sure_s: NDArray[np.float64] = np.empty((0, 1))
        """When a sample was trusted at least half as much."""

    def __call__(
        self,
        points: NDArray[np.floating],
        time_s: float,
        scores: NDArray[np.floating] | None = None,
        scale: float = 1.0,
    ) -> NDArray[np.float32]:
        """The smoothed keypoints (K, 2) float32, in the same pixels as `points`.

        Args:
            points: (K, 2), pixels.
            time_s: when they were seen, seconds; steps may differ from each other.
            scores: (K,) in [0, 1]; None: all count in full.
            scale: pixels of `beta` to one pixel of `points`.

        Raises:
            InputError: a time before the last one, another number of keypoints, or points that are not finite.
        """
        now = np.asarray(points, np.float64)
        self._check(now, time_s)
        if self._time_s is None or time_s - self._time_s > self.settings.reset_s:
            self._points, self._last, self._speed = now.copy(), now.copy(), np.zeros_like(now)
            self._last_s = np.full((len(now), 1), time_s)
            self._sure_s = self._last_s.copy()
            self._known = self._trust(now, scores)
        elif time_s > self._time_s:
            self._step(now, time_s, self._trust(now, scores), scale)
        self._time_s = time_s
        return self._points.astype(np.float32)

    def _check(self, points: NDArray[np.float64], time_s: float) -> None:
        if not np.isfinite(points).all():
            raise InputError("keypoints to be smoothed are not all finite")
        if self._time_s is None:
            return
        if not time_s >= self._time_s:
            raise InputError(f"time {time_s:.3f} s comes after {self._time_s:.3f} s; expected times that do not fall")
        if points.shape != self._points.shape:
            raise InputError(f"keypoints of shape {points.shape} after some of shape {self._points.shape}")

    def _trust(self, points: NDArray[np.float64], scores: NDArray[np.floating] | None) -> NDArray[np.float64]:
        """(K, 1) in [0, 1]."""
        if scores is None:
            return np.ones((len(points), 1))
        return np.clip(np.asarray(scores, np.float64)[:, None] / self.settings.trusted_score, 0, 1)

    def _step(self, points: NDArray[np.float64], time_s: float, trust: NDArray[np.float64], scale: float) -> None:
        assert self._time_s is not None
        settings, dt = self.settings, time_s - self._time_s
        self._forget(points, time_s)
        # the speed of the raw samples, as in the paper's own code; it is as doubtful as either of its samples
        way, way_s = points - self._last, time_s - self._last_s
        speed = way / way_s
        self._speed += self._known * trust * smoothing_gain(settings.speed_cutoff, dt) * (speed - self._speed)
        pace = scale * np.linalg.norm(self._speed, axis=1, keepdims=True)
        gain = smoothing_gain(settings.min_cutoff + settings.beta * pace, dt)
        # what began with a doubtful sample, or was hidden for long, goes to the first surer one at once
        surer = 1 - np.divide(self._known, trust, out=np.ones_like(trust), where=trust > self._known)
        share = np.maximum(trust * (1 - self._known * (1 - gain)), surer)
        self._points = self._points + share * (points - self._points)
        # nor does the next speed count from a doubtful sample, but from the place and time of surer ones before it
        best = np.maximum(self._known, trust)
        share = np.divide(trust, best, out=np.zeros_like(best), where=best > 0)
        self._sure_s = np.where(2 * trust >= self._known, time_s, self._sure_s)
        self._last, self._last_s, self._known = self._last + share * way, self._last_s + share * way_s, best

    def _forget(self, points: NDArray[np.float64], time_s: float) -> None:
        """Start keypoints anew that were doubtful for long, else they would be drawn in from where they once were."""
        old = time_s - self._sure_s > self.settings.reset_s
        self._points, self._last = np.where(old, points, self._points), np.where(old, points, self._last)
        self._speed, self._known = np.where(old, 0, self._speed), np.where(old, 0, self._known)

    def moved(self, factor: NDArray[np.float64]) -> None:
        """The frame was scaled by `factor` (2,) x, y: what is remembered is scaled with it."""
        self._points, self._last = scaled(self._points, factor), scaled(self._last, factor)
        self._speed = self._speed * factor


def scaled(points: NDArray[np.float64], factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keypoints (K, 2) of a frame that was scaled by `factor` (2,) x, y: they count from the first pixel's centre."""
    return (points + 0.5) * factor - 0.5

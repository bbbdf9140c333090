"""Time stamps that rise, out of what a decoder says."""

from __future__ import annotations

import math

RESTART_S = 1.0
"""A step back by more than this is a new count (joined recordings), a smaller one a frame out of order."""


LEAST_STEP_S = 0.001
"""Between two frames that arrive in the same moment of the clock: Windows's may stand still for 16 ms."""


class Arrivals:
    """Seconds since the first frame of a live source."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0

    def next(self, now: float) -> float:
        """The time of a frame that arrives at `now`, seconds of a monotonic clock; always more than the last one's.

        More than 1000 frames a second for long would run ahead of the clock.
        """
        if self._first is None:
            self._first = now
        else:
            self._last = max(now - self._first, self._last + LEAST_STEP_S)
        return self._last


class Timeline:
    """Seconds since the first frame.

    The file's own time stamps are used and not index / fps, since phones and screen recorders write frames at varying
    intervals: speed and smoothing would be wrong otherwise. OpenCV gives 0 for a frame without a time stamp, which
    AVI files with B-frames have at their end, and steps back for frames that the decoder gives out of order after
    damage; there the timeline goes on by the stated frame rate.

    Args:
        interval_s: between two frames by the stated frame rate.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval = interval_s
        self._zero = 0.0
        self._last: float | None = None
        self._steps = self._odd_steps = 0

    def next(self, position_ms: float) -> float:
        """The time of the next frame, whose CAP_PROP_POS_MSEC is given."""
        stamp = position_ms / 1000
        if self._last is None:
            self._zero = stamp if math.isfinite(stamp) else 0.0
            self._last = 0.0
        else:
            before = self._last
            self._last = self._after(before, stamp)
            self._steps += 1
            self._odd_steps += abs(self._last - before - self._interval) > self._interval / 4
        return self._last

    @property
    def steady(self) -> bool:
        """Whether nine of ten frames came at the stated rate."""
        return self._odd_steps <= self._steps / 10

    def _after(self, last: float, stamp: float) -> float:
        if not math.isfinite(stamp) or stamp <= 0:
            return last + self._interval
        time = stamp - self._zero
        if time > last:
            return time
        if time < last - RESTART_S:
            self._zero = stamp - (last + self._interval)
            return last + self._interval
        return last + self._interval / 2  # half a step, so that the file's own time stamps catch up

"""How quiet the machine was: a fixed piece of work, timed again and again during a run."""

from __future__ import annotations

from statistics import median

from danet_benchmarks.peaks import Products

CALLS = 5
"""To a reading, of some hundredths of a second each."""
NOISY = 0.1
"""Spread above which the report says that the machine was noisy."""


class FixedWork:
    """Matrix products; what slows them down slows the cases down.

    Args:
        threads: for a report the cores that the process may use, whatever its cases take: runs are compared by it.
    """

    def __init__(self, threads: int) -> None:
        self._products = Products("FP32", threads)
        self.readings: list[float] = []
        """Seconds of a call, the median of some."""

    def read(self) -> None:
        """Time it once more."""
        self.readings.append(median(self._products.seconds() for _ in range(CALLS)))

    @property
    def median_ms(self) -> float | None:
        """Milliseconds of a call over all readings; None before the first."""
        return 1000 * median(self.readings) if self.readings else None

    @property
    def spread(self) -> float:
        """(high - low) / median of the readings; 0.0 before the second."""
        if len(self.readings) < 2:
            return 0.0
        return (max(self.readings) - min(self.readings)) / median(self.readings)

"""What is promised, and what was measured of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from danet_benchmarks.targets.measure import TAIL, Starts, Timed, bounds


@dataclass(frozen=True)
class Promise:
    """One line of the table."""

    number: str
    text: str
    limit: float
    at_least: bool
    """Whether `limit` is the least that is asked for, or the most."""
    value: float
    low: float
    high: float
    """Where a ratio of rounds: bounds of its median, 95 %; else the value itself."""
    detail: str

    @property
    def kept(self) -> bool:
        """Whether the figure is on the right side of the limit; the median counts, not its bounds."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def promises(timed: Timed, starts: Starts, threads: int) -> tuple[Promise, ...]:
    """All of them; those that compare one thread with two only where two were measured."""
    return (*_of_rounds(timed, threads), *_of_starts(starts))


def _of_rounds(timed: Timed, threads: int) -> Iterator[Promise]:
    def ratio(number: str, text: str, limit: float, slow: str, fast: str, factor: float = 1.0) -> Promise:
        value, low, high = bounds(factor * timed.ratios(slow, fast))
        detail = " against ".join(
            f"{1e3 * float(np.median(timed.means(name))):.1f} ms ({name})" for name in (slow, fast)
        )
        return Promise(number, text, limit, True, value, low, high, detail)

    yield ratio("1", "end to end : network alone, INT8, 8 persons", 0.92, "int8, network alone", "int8")
    yield ratio("1", "the same, FP32", 0.92, "fp32, network alone", "fp32")
    yield ratio("2", "INT8 : ONNX Runtime FP32 by hand, 8 persons", 3.0, "onnxruntime, by hand", "int8")
    yield ratio("2", "INT8 : OpenVINO FP32, 8 persons", 2.4, "fp32", "int8")
    hand, p50 = timed.pooled("onnxruntime, by hand, 1 person"), float(np.median(timed.pooled(TAIL)))
    share = bounds(timed.median_ratios(TAIL, "onnxruntime, by hand, 1 person"))
    yield Promise(
        "3", "p50 of one person, INT8 : ONNX Runtime FP32 by hand", 0.5, False, *share,
        f"{1e3 * p50:.1f} ms against {1e3 * float(np.median(hand)):.1f} ms",
    )  # fmt: skip
    quiet = timed.quiet_rounds()  # the promise is for a quiet machine
    p50, p99 = np.percentile(timed.pooled(TAIL, quiet), (50, 99))
    steady, every = float(p99 / p50), len(timed.rounds[TAIL])
    counted = "all rounds, too few were quiet" if quiet is None else f"in {len(quiet)} quiet rounds of {every}"
    detail = f"p99 {1e3 * p99:.1f} ms, {counted}"
    yield Promise("3", "p99 : p50 of one person, INT8, quiet machine", 1.5, False, steady, steady, steady, detail)
    yield ratio("4", "persons per second, 10 persons : 8 persons", 0.95, "int8", "int8, 10 persons", 10 / 8)
    if threads != 2:
        return
    yield ratio("4", "one thread : two threads", 0.5, "int8", "int8, one thread")
    yield ratio(
        "4", "two estimators of one thread, together : one of two", 0.9, "int8", "int8, two estimators of one thread", 2
    )


def _of_starts(starts: Starts) -> Iterator[Promise]:
    def most(text: str, limit: float, value: float, detail: str) -> Promise:
        return Promise("5", text, limit, False, value, value, value, detail)

    alone = max(one.above_mib for one in starts.warm)
    yield most("MiB above NumPy and OpenCV, one person", 200, alone, "100 frames, kept compiled graph")
    yield most("the same, 8 persons", 200, starts.crowd.above_mib, "40 frames, kept compiled graph")
    frames = starts.long.memory[-1][0]
    yield most("MiB grown", 5, starts.grown_mib, f"from the first tenth of {frames:,} frames to the end")
    yield most("import of danet, s", 0.3, starts.import_s, "PoseEstimator; NumPy and OpenCV imported before")
    yield most(
        "first result, s",
        1.5,
        starts.first_result_s,
        f"from the start of the process; {starts.cold_s:.2f} s the first time",
    )

"""Interleaved rounds (A B C A B C ...), and which contender they show to be the fastest.

A machine that slows down for a while slows down all contenders alike. So only times of the same
round are compared, and of a round's ratios the median counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb, log
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LEAST_ROUNDS, MOST_ROUNDS = 6, 60
"""Six is the fewest whose lowest and highest ratio hold the true median with 95 %."""
ERROR = 0.05
"""Chance that the interval of a median misses it."""
WORTH = 0.02
"""Gains below this are no reason to leave the simpler settings."""
DROP_AFTER, DROP_AT = 3, 1.25
"""A contender that took so many times the best's time in each of so many rounds is not measured on."""

Seconds = tuple[float, ...]
"""Seconds per frame, for each number of persons."""


class Contender(Protocol):
    """Something to time."""

    def time(self) -> Seconds:
        """One round's times."""
        ...


@dataclass(frozen=True)
class Series:
    """The rounds of one contender."""

    rounds: tuple[Seconds, ...]
    dropped: bool = False
    """Whether it was so slow that it was not measured to the end."""

    @property
    def medians(self) -> Seconds:
        """By the number of persons."""
        return tuple(np.median(self.rounds, axis=0).tolist())

    @property
    def spreads(self) -> Seconds:
        """(highest - lowest) / median, by the number of persons."""
        values = np.asarray(self.rounds)
        return tuple((np.ptp(values, axis=0) / np.median(values, axis=0)).tolist())


def measure_rounds(
    contenders: Sequence[Contender],
    seconds: float,
    on_time: Callable[[float], None],
    clock: Callable[[], float] = time.perf_counter,
) -> list[Series]:
    """The times of all contenders, in their order, until the time is used up.

    Args:
        contenders: warm, the one that the others are compared with first.
        seconds: to spend; `LEAST_ROUNDS` are measured in any case, unless all but one drop out.
        on_time: called with the seconds just spent.
        clock: gives seconds.
    """
    times: list[list[Seconds]] = [[] for _ in contenders]
    running = set(range(len(contenders)))
    start = last = clock()
    undecided = True
    while undecided and (len(times[0]) < LEAST_ROUNDS or (len(times[0]) < MOST_ROUNDS and last - start < seconds)):
        for index in sorted(running):
            times[index].append(contenders[index].time())
            now = clock()
            on_time(now - last)
            last = now
        if len(times[0]) >= DROP_AFTER:
            running -= _hopeless([Series(tuple(rounds)) for rounds in times], running)
            undecided = len(running) > 1 or len(times) == 1
    return [Series(tuple(rounds), index not in running) for index, rounds in enumerate(times)]


def _hopeless(series: Sequence[Series], running: set[int]) -> set[int]:
    """Of those running, the ones that the best was ahead of in every round; never the first, the yardstick."""
    best = _fastest(series, sorted(running))
    return {index for index in running if index and slowdown(series[index], series[best]).min() > log(DROP_AT)}


def _fastest(series: Sequence[Series], among: Sequence[int]) -> int:
    return min(among, key=lambda index: float(np.median(slowdown(series[index], series[0]))))


def slowdown(one: Series, other: Series) -> NDArray[np.float64]:
    """By round, the logarithm of how many times as long `one` takes as `other`: (rounds,) float64.

    The mean over the numbers of persons, so that each of them weighs the same.
    """
    common = min(len(one.rounds), len(other.rounds))
    ratios = np.log(np.asarray(one.rounds[:common])) - np.log(np.asarray(other.rounds[:common]))
    return np.asarray(ratios.mean(axis=1), np.float64)


def median_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Bounds that hold the true median with 95 %, whatever the distribution: two order statistics.

    The true median lies below the k-th smallest of n values with the chance of fewer than k heads in
    n throws. With fewer than six values the bounds are the lowest and the highest, and hold less.
    """
    ordered = np.sort(values)
    count = len(ordered)
    rank = 1
    while 2 * rank < count and 2 * _chance_of_at_most(rank, count) <= ERROR:
        rank += 1
    return float(ordered[rank - 1]), float(ordered[count - rank])


def _chance_of_at_most(heads: int, throws: int) -> float:
    return float(sum(comb(throws, number) for number in range(heads + 1)) / 2**throws)


def simplest_of_the_fastest(series: Sequence[Series], admitted: Sequence[bool]) -> int:
    """The index of the first contender that no other one is shown to be faster than, by more than `WORTH`.

    Args:
        series: the simplest first.
        admitted: those that may be chosen; one at least that was measured to the end.
    """
    eligible = [index for index, one in enumerate(series) if admitted[index] and not one.dropped]
    unbeaten = (index for index in eligible if not any(_beaten(series[index], series[other]) for other in eligible))
    return next(unbeaten, _fastest(series, eligible))


def _beaten(one: Series, other: Series) -> bool:
    return median_interval(slowdown(one, other))[0] > log(1 + WORTH)

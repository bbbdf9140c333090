"""Draws from a seeded generator that the scene modules share."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

from numpy.random import Generator

T = TypeVar("T")


def pick(rng: Generator, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One of `options`, by relative `weights`; much faster than Generator.choice on short lists."""
    if weights is None:
        return options[min(int(rng.random() * len(options)), len(options) - 1)]
    totals = list(accumulate(weights))
    return options[min(bisect(totals, rng.random() * totals[-1]), len(options) - 1)]


def coin(rng: Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def between(rng: Generator, low: float, high: float) -> float:
    """Uniform in [low, high)."""
    return low + (high - low) * float(rng.random())


def below(rng: Generator, limit: int) -> int:
    """Uniform integer in [0, limit); 0 where the limit is not positive."""
    return int(rng.random() * max(limit, 1))

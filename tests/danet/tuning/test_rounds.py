from __future__ import annotations

from collections.abc import Callable
from math import log

import numpy as np
import pytest

from danet.tuning.rounds import (
    LEAST_ROUNDS,
    MOST_ROUNDS,
    Seconds,
    Series,
    measure_rounds,
    median_interval,
    simplest_of_the_fastest,
    slowdown,
)


class Clock:
    """A machine whose time passes only while somebody works, and whose speed drifts."""

    def __init__(self, drift: Callable[[float], float] = lambda _: 1.0) -> None:
        self.now = 0.0
        self.order: list[str] = []
        self.drift = drift

    def __call__(self) -> float:
        return self.now


class Worker:
    def __init__(self, clock: Clock, name: str, *seconds: float) -> None:
        self.clock, self.name, self.seconds = clock, name, seconds

    def time(self) -> Seconds:
        self.clock.order.append(self.name)
        took = tuple(one * self.clock.drift(self.clock.now) for one in self.seconds)
        self.clock.now += sum(took)
        return took


def series(*seconds: float, dropped: bool = False) -> Series:
    return Series(tuple((one,) for one in seconds), dropped)


def noisy(center: float, seed: int, rounds: int = 12, noise: float = 0.03) -> Series:
    return series(*(center * np.exp(np.random.default_rng(seed).normal(0, noise, rounds))))


def test_rounds_are_interleaved_until_the_time_is_used() -> None:
    clock = Clock()
    told: list[float] = []
    a, b = measure_rounds([Worker(clock, "a", 1.0), Worker(clock, "b", 1.1)], 21.0, told.append, clock)
    assert "".join(clock.order) == "ab" * 10
    assert (len(a.rounds), len(b.rounds)) == (10, 10)
    assert sum(told) == pytest.approx(clock.now)


def test_few_rounds_even_where_the_time_is_too_short_and_an_end_where_it_is_long() -> None:
    clock = Clock()
    assert len(measure_rounds([Worker(clock, "a", 100.0)], 1.0, lambda _: None, clock)[0].rounds) == LEAST_ROUNDS
    assert len(measure_rounds([Worker(clock, "a", 1e-9)], 1e9, lambda _: None, clock)[0].rounds) == MOST_ROUNDS


def test_one_far_behind_is_dropped_and_the_first_never() -> None:
    clock = Clock()
    workers = [Worker(clock, "a", 3.0), Worker(clock, "b", 1.0), Worker(clock, "c", 2.0), Worker(clock, "d", 1.1)]
    a, b, c, d = measure_rounds(workers, 0.0, lambda _: None, clock)
    assert [one.dropped for one in (a, b, c, d)] == [False, False, True, False]
    assert [len(one.rounds) for one in (a, b, c, d)] == [LEAST_ROUNDS, LEAST_ROUNDS, 3, LEAST_ROUNDS]


def test_decided_where_only_the_first_is_left() -> None:
    clock = Clock()
    a, b = measure_rounds([Worker(clock, "a", 1.0), Worker(clock, "b", 2.0)], 1e3, lambda _: None, clock)
    assert (len(a.rounds), len(b.rounds), a.dropped, b.dropped) == (3, 3, False, True)


def test_a_drifting_machine_does_not_change_the_order() -> None:
    # the machine gets ten times slower while it is measured; times of different rounds cannot be compared
    clock = Clock(lambda now: 1 + now / 20)
    fast, slow = measure_rounds([Worker(clock, "b", 1.2), Worker(clock, "a", 1.0)], 180, lambda _: None, clock)
    assert max(slow.rounds) > min(fast.rounds)
    assert simplest_of_the_fastest([fast, slow], [True, True]) == 1


def test_each_number_of_persons_weighs_the_same() -> None:
    one, other = Series(((1.0, 80.0),) * 3), Series(((2.0, 40.0),) * 3)
    assert slowdown(one, other) == pytest.approx(np.zeros(3))
    assert slowdown(Series(((2.0, 80.0),) * 3), Series(((1.0, 80.0),) * 5)) == pytest.approx(np.full(3, log(2) / 2))


def test_medians_and_spreads() -> None:
    measured = Series(((1.0, 10.0), (2.0, 20.0), (4.0, 10.0)))
    assert measured.medians == (2.0, 10.0)
    assert measured.spreads == (1.5, 1.0)


@pytest.mark.parametrize(("count", "rank"), [(1, 1), (3, 1), (6, 1), (8, 1), (9, 2), (12, 3), (20, 6), (60, 22)])
def test_interval_of_a_median_is_that_of_the_sign_test(count: int, rank: int) -> None:
    # two sides of at most 2.5 % each: with 20 values, say, 6 heads or fewer in 20 throws have 5.8 %, 5 or fewer 2.1 %
    assert median_interval(np.arange(1.0, count + 1)) == (rank, count + 1 - rank)


def test_interval_holds_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [median_interval(rng.exponential(size=11)) for _ in range(2000)]
    held = np.mean([low <= log(2) <= high for low, high in intervals])
    assert 0.95 <= held <= 0.995


def test_within_the_noise_the_simplest_is_chosen() -> None:
    assert simplest_of_the_fastest([noisy(1.0, 1), noisy(0.99, 2)], [True, True]) == 0
    assert simplest_of_the_fastest([noisy(1.0, 1), noisy(0.9, 2)], [True, True]) == 1
    assert simplest_of_the_fastest([noisy(1.0, 1), noisy(0.9, 2), noisy(0.89, 3)], [True] * 3) == 1


def test_a_gain_that_is_sure_but_tiny_is_not_worth_it() -> None:
    assert simplest_of_the_fastest([series(*[1.0] * 9), series(*[0.99] * 9)], [True, True]) == 0


def test_one_that_is_not_admitted_or_was_dropped_is_not_chosen() -> None:
    slow, fast = series(*[1.0] * 9), series(*[0.5] * 9)
    assert simplest_of_the_fastest([slow, fast], [True, False]) == 0
    assert simplest_of_the_fastest([slow, series(*[0.5] * 3, dropped=True)], [True, True]) == 0


def test_a_sure_winner_is_found_beside_a_lucky_one() -> None:
    steady = [1.0] * 8
    lucky = [0.5, 1.3, 0.5, 1.3, 0.5, 1.3, 0.5, 0.5]  # the best median, but it proves nothing
    sure = [0.9] * 8
    assert simplest_of_the_fastest([series(*steady), series(*sure), series(*lucky)], [True] * 3) == 1

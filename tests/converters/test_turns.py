from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from danet_converters import turns
from danet_converters.turns import SETTLING, TIMED, WARM_UP, Contender, race

CALLS = SETTLING + TIMED


@dataclass
class Clock:
    """Stands still but for the runs of its backends."""

    now: float = 0.0
    ran: list[str] = field(default_factory=list)


@dataclass
class Slow:
    """Takes `seconds` for a run, and ten times as long directly after another backend."""

    name: str
    clock: Clock
    seconds: float

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        beside = self.clock.ran[-SETTLING:] != [self.name] * SETTLING
        self.clock.now += self.seconds * (10 if beside else 1)
        self.clock.ran.append(self.name)
        return np.zeros((len(images), 1, 1, 1), np.float32)

    def close(self) -> None:
        pass


def test_no_call_is_timed_that_another_backend_may_slow_down(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(turns, "perf_counter", lambda: clock.now)
    images = np.zeros((4, 8, 6, 3), np.uint8)
    first, second = (Contender(name, Slow(name, clock, 1.0 + number), images) for number, name in enumerate("ab"))
    first.seconds.append(99.0)  # of a call that compiled
    race([first, second], rounds=2)
    assert clock.ran == (["a"] * CALLS + ["b"] * CALLS) * (WARM_UP + 2)
    assert (first.seconds, second.seconds) == ([1.0] * 2 * TIMED, [2.0] * 2 * TIMED)
    assert (first.persons_per_second, second.persons_per_second) == (4.0, 2.0)

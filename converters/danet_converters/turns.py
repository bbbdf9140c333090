"""Files of several runtimes timed in turn: a machine that slows down slows down all alike."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from danet.backends.base import Backend

WARM_UP = 3
"""Rounds that are not counted."""
SETTLING, TIMED = 2, 3
"""Calls to a turn."""


@dataclass
class Contender:
    """One open file and what it is given."""

    label: str
    backend: Backend
    images: NDArray[np.uint8]
    """Crops (N, H, W, 3) uint8 BGR."""
    seconds: list[float] = field(default_factory=list)
    """Of each timed call."""

    def take_turn(self) -> None:
        """Run a few times. The first calls wait for the threads of the file before, which spin on for milliseconds."""
        for call in range(SETTLING + TIMED):
            start = perf_counter()
            self.backend.run(self.images)
            if call >= SETTLING:
                self.seconds.append(perf_counter() - start)

    @property
    def persons_per_second(self) -> float:
        """By the median call."""
        return len(self.images) / statistics.median(self.seconds)


def race(contenders: Sequence[Contender], rounds: int) -> None:
    """Give each its turn, round after round; what a contender's `seconds` held before is lost."""
    for number in range(WARM_UP + rounds):
        for contender in contenders:
            if number == WARM_UP:
                contender.seconds.clear()
            contender.take_turn()

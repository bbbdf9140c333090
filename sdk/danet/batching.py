"""How many persons go through the network at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from danet.backends.base import Backend
from danet.errors import BackendError, InputError

DEFAULT_BATCH_SIZE = 8
MAX_BATCH = 256
PERSON_COST = 4
"""In network calls: a call costs about a fourth of a person besides its persons. Measured: nothing in FP32 on an AVX2
CPU (6 persons as 4 + 2 took 152 ms, padded to 8 216 ms); 0.45 of a person in INT8 with VNNI on one thread (1, 2 and 4
persons took 13.7, 22.4 and 42.1 ms)."""


def batch_sizes(largest: int) -> tuple[int, ...]:
    """Powers of two up to `largest`, and `largest` itself: the static sizes that backends compile.

    A few static sizes instead of a dynamic one, because CPU runtimes re-plan and grow memory with
    each new shape.

    Raises:
        InputError: `largest` is not in 1..256.
    """
    if not 1 <= largest <= MAX_BATCH:
        raise InputError(f"batch_size {largest!r:.40}, expected 1..{MAX_BATCH}")
    powers = [1 << exponent for exponent in range(largest.bit_length()) if 1 << exponent <= largest]
    return tuple(sorted({*powers, largest}))


def plan_batches(persons: int, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Split `persons` into (batch size, persons in it) at the least cost, the largest first; only the last is padded.

    Args:
        persons: how many there are.
        sizes: allowed batch sizes, ascending.
    """
    return list(_plan(persons, tuple(sizes)))


@lru_cache(maxsize=1024)
def _plan(persons: int, sizes: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    largest = sizes[-1]
    # The best plan has fewer than `largest` batches of other sizes: of that many, some would add up to a multiple of
    # `largest` (their running sums leave a remainder twice, or none), which takes fewer batches of the largest size.
    others = (largest - 1) ** 2
    full = max(0, persons - others) // largest
    left = persons - full * largest
    best = [_Best(0, -largest, 0)]
    for count in range(1, left + 1):
        best.append(min(best[max(0, count - size)].and_one_more(size) for size in sizes))
    chosen = []
    while left > 0:
        size = best[left].size
        chosen.append((size, min(size, left)))
        left -= size
    chosen.sort(key=lambda batch: (batch[0] == batch[1], batch[0]), reverse=True)
    return ((largest, largest),) * full + tuple(chosen)


class _Best(NamedTuple):
    """The best plan for a number of persons; of plans that cost the same the one without small batches."""

    cost: int
    smallest: int
    """Minus the size of the smallest batch."""
    size: int
    """Of the batch that was added last."""

    def and_one_more(self, size: int) -> _Best:
        return _Best(self.cost + PERSON_COST * size + 1, max(self.smallest, -size), size)


@dataclass(frozen=True)
class BatchedModel:
    """A model that takes any number of persons, in batches of a few static sizes, padded where need be."""

    backend: Backend
    sizes: tuple[int, ...]
    """Allowed batch sizes, ascending."""

    def run(self, crops: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.float32]:
        """Heatmaps (N, K, h, w) float32 of crops (N, H, W, 3) uint8 BGR.

        Args:
            crops: of any number of persons, also none.
            shape: K, h, w that the model's spec promises.

        Raises:
            BackendError: the model failed to run, or gave another shape.
        """
        parts = []
        start = 0
        for size, persons in plan_batches(len(crops), self.sizes):
            batch = crops[start : start + persons]
            if persons < size:
                batch = np.concatenate((batch, np.zeros((size - persons, *crops.shape[1:]), np.uint8)))
            answer = np.asarray(self.backend.run(batch))
            if answer.shape != (size, *shape):
                raise BackendError(
                    f"the model answered {answer.shape}, its spec promises {(size, *shape)}; "
                    "check keypoints, input_size and stride of the spec"
                )
            parts.append(answer[:persons])
            start += persons
        if len(parts) == 1:
            return parts[0].astype(np.float32, copy=False)  # a copy less for the most frequent case
        return np.concatenate(parts, dtype=np.float32) if parts else np.empty((0, *shape), np.float32)

"""How many persons go through the network at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danet.backends.base import Backend
from danet.errors import BackendError, InputError

DEFAULT_BATCH_SIZE = 8
MAX_BATCH = 256
FULL_ENOUGH = 0.9
"""A batch is padded where at least this part of it is persons; below, smaller batches waste less. Measured on an AVX2
CPU, where a person costs the same at any batch size: 6 persons as 4 + 2 took 152 ms, padded to 8 216 ms; 7 as 4 + 2 + 1
181 ms, padded 233 ms."""


def batch_sizes(largest: int) -> tuple[int, ...]:
    """Powers of two up to `largest`, and `largest` itself: the static sizes that backends compile.

    A few static sizes instead of a dynamic one, because CPU runtimes re-plan and grow memory with
    each new shape (users.md, point 5).

    Raises:
        InputError: `largest` is not in 1..256.
    """
    if not 1 <= largest <= MAX_BATCH:
        raise InputError(f"batch_size {largest!r:.40}, expected 1..{MAX_BATCH}")
    powers = [1 << exponent for exponent in range(largest.bit_length()) if 1 << exponent <= largest]
    return tuple(sorted({*powers, largest}))


def plan_batches(persons: int, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Split `persons` into (batch size, persons in it), greedily and with little padding.

    Args:
        persons: how many there are.
        sizes: allowed batch sizes, ascending.
    """
    plan: list[tuple[int, int]] = []
    left = persons
    while left:
        roomy = next((size for size in sizes if size >= left), sizes[-1])
        fitting = max((size for size in sizes if size <= left), default=sizes[0])
        size = roomy if left >= FULL_ENOUGH * roomy else fitting
        plan.append((size, min(size, left)))
        left -= plan[-1][1]
    return plan


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

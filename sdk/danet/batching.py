"""How many persons go through the network at once."""

from __future__ import annotations

from collections.abc import Sequence

from danet.errors import InputError

DEFAULT_BATCH_SIZE = 8
FULL_ENOUGH = 0.75
"""A batch is padded where at least this part of it is persons; below, smaller batches waste less."""


def batch_sizes(largest: int) -> tuple[int, ...]:
    """Powers of two up to `largest`, and `largest` itself: the static sizes that backends compile.

    A few static sizes instead of a dynamic one, because CPU runtimes re-plan and grow memory with
    each new shape (users.md, point 5).

    Raises:
        InputError: `largest` is not in 1..256.
    """
    if not 1 <= largest <= 256:
        raise InputError(f"batch_size {largest}, expected 1..256")
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

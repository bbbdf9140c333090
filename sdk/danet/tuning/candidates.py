"""What is tried: one thing at a time, each on top of the best so far; the simplest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from danet.batching import batch_sizes, plan_batches
from danet.model_spec import Precision
from danet.tuning.settings import Settings

PRECISIONS: tuple[Precision | None, ...] = (None, "bf16", "fp16")
"""The default, and what a backend may have beside it; one that it lacks is left out."""
LARGEST_BATCH = 32
"""Larger ones gain nothing on a CPU: the activations of 8 persons already exceed its caches."""
MOST_STREAMS = 8
STREAM_BATCHES = (4, 1)
"""Tried with streams beside the batch size chosen for `infer`: several calls share the caches."""
FEW_CORES = 8
"""From here on a quarter of the cores is tried too; below, it is one core or two."""


def thread_choices(cores: int) -> tuple[int | None, ...]:
    """All threads as the backend sees fit, then half of the cores and a quarter.

    Half, because two threads on one core with SMT often slow each other down; fewer, because the
    network's small layers do not feed many.
    """
    parts = [cores // 2] if cores < FEW_CORES else [cores // 2, cores // 4]
    return (None, *(part for part in parts if part))


def arithmetic(threads: Sequence[int | None]) -> list[Settings]:
    """Each precision with each number of threads; the first is the default."""
    return [Settings(precision=precision, threads=count) for precision in PRECISIONS for count in threads]


def batches(chosen: Settings, persons: Sequence[int]) -> list[Settings]:
    """`chosen`, then whole calls in batches of the sizes that make a difference for so many persons to a frame."""
    sizes = dict.fromkeys((chosen.batch_size, *(1 << exponent for exponent in range(LARGEST_BATCH.bit_length()))))
    return _distinct([chosen, *(replace(chosen, batch_size=size, shares=1) for size in sizes)], persons)


def streams(chosen: Settings, persons: Sequence[int], cores: int) -> list[Settings]:
    """`chosen`, then with 2, 4, ... calls of `stream` side by side and smaller batches in them."""
    most = min(chosen.threads or cores, MOST_STREAMS)
    counts = [1 << exponent for exponent in range(1, most.bit_length())]
    sizes = dict.fromkeys((chosen.batch_size, *(size for size in STREAM_BATCHES if size < chosen.batch_size)))
    tried = [replace(chosen, streams=count, stream_batch_size=size) for count in counts for size in sizes]
    return _distinct([chosen, *tried], persons)


def _distinct(candidates: Iterable[Settings], persons: Sequence[int]) -> list[Settings]:
    """Without those that would make the same network calls as one before them."""
    seen: dict[object, Settings] = {}
    for one in candidates:
        plans = [
            plan_batches(number, batch_sizes(size))
            for number in persons
            for size in (one.batch_size, one.largest_stream_batch)
        ]
        split = one.shares if max(persons) > 1 else None  # a person alone is never split
        seen.setdefault((one.streams, split, str(plans)), one)
    return list(seen.values())

"""Which rows a plot shows, where showing all would show nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from danet_benchmarks.results import Row

Key = TypeVar("Key", bound=Hashable)
T = TypeVar("T")

_KINDS = ("danet", "foreign", "rival")


def best_of_each(rows: Iterable[Row], key: Callable[[Row], Key], value: Callable[[Row], float]) -> dict[Key, Row]:
    """For each key the row of the highest value, in the order in which the keys first came."""
    best: dict[Key, Row] = {}
    for row in rows:
        if key(row) not in best or value(row) > value(best[key(row)]):
            best[key(row)] = row
    return best


def variant(row: Row) -> str:
    """What tells one network in one backend and arithmetic from the others."""
    return f"{row.case.name} {row.case.backend} {row.case.precision}"


def quickest_variants(rows: Iterable[Row]) -> list[Row]:
    """The case of each variant that did most persons a second end to end; ours first, rivals last."""
    timed = [row for row in rows if row.speed and row.speed.end_to_end]
    best = best_of_each(timed, variant, end_to_end_pps)
    return sorted(best.values(), key=lambda row: _KINDS.index(row.case.kind))


def end_to_end_pps(row: Row) -> float:
    """At the most persons per frame; 0 where it was not timed."""
    timed = row.speed.end_to_end if row.speed else ()
    return max(timed, key=lambda one: one.persons).pps.median if timed else 0.0


def first_few(items: Sequence[T], most: int) -> tuple[Sequence[T], str]:
    """The first ones, and what a plot says of the rest."""
    left_out = len(items) - most
    return items[:most], f" {left_out} more: see the tables." if left_out > 0 else ""

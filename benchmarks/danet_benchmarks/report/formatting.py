"""Numbers as people read them."""

from __future__ import annotations

from danet_benchmarks.results import Spread

NONE = "-"
"""A cell without a figure."""


def figure(value: float | None, unit: float = 1.0) -> str:
    """Three significant digits or whole numbers; `value` counted in `unit`."""
    if value is None:
        return NONE
    scaled = value / unit
    size = abs(scaled)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or not size else 3
    return f"{scaled:.{decimals}f}"


def points(value: float | None) -> str:
    """An AP as a hundredfold, the way papers print it."""
    return NONE if value is None else f"{100 * value:.1f}"


def points_less(value: float, other: float | None) -> str:
    """By how many points an AP is above another."""
    return NONE if other is None else f"{100 * (value - other):+.2f}".replace("-0.00", "+0.00")


def with_spread(spread: Spread) -> str:
    """The median, and in brackets the width of the interval that its rounds lie in."""
    if len(spread.rounds) == 1:
        return figure(spread.median)
    return f"{figure(spread.median)} ({spread.relative:.1%})"


def persons(count: int) -> str:
    """A count with its noun: "1 person", "3 persons"."""
    return f"{count} person" if count == 1 else f"{count} persons"


def duration(seconds: float) -> str:
    """Whole seconds up to an hour: "42 s", "2 min 5 s", "1 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

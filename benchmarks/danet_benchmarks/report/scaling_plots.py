"""How speed grows with the persons in a frame and with the threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from danet_benchmarks.report.choice import best_of_each, first_few, quickest_variants, variant
from danet_benchmarks.report.plot import Plot
from danet_benchmarks.report.plot_style import SERIES, legend_below, new_axes, plain_log_scale, plot_settings
from danet_benchmarks.results import Report, Row, Spread

_PERSONS = "Scaling with persons per frame"
_THREADS = "Scaling with threads"
_MARKS = "osD^vPX*"


@dataclass(frozen=True)
class _Line:
    name: str
    points: tuple[tuple[int, Spread], ...]


def scaling_with_persons(report: Report) -> Plot:
    """Persons per second end to end against persons per frame."""
    rows = [row for row in quickest_variants(report.rows) if row.speed and len(row.speed.end_to_end) > 1]
    if not rows:
        return Plot("scaling-persons", _PERSONS, "Left out: no row was timed at several numbers of persons per frame.")
    lines, rest = first_few([_Line(variant(row), _by_persons(row)) for row in rows], len(SERIES))
    text = (
        "End to end, medians; bars reach from the lowest to the highest round; both axes logarithmic. Persons of a "
        f"frame share a network call, so more of them fill the cores better.{rest}"
    )
    figure = _draw(lines, "persons per frame", "persons per second, end to end")
    return Plot("scaling-persons", _PERSONS, text, figure)


def scaling_with_threads(report: Report) -> Plot:
    """Persons per second, network only, against threads."""
    by_variant: dict[str, list[Row]] = {}
    for row in report.rows:
        if row.speed:
            by_variant.setdefault(variant(row), []).append(row)
    found = [_Line(name, _by_threads(rows)) for name, rows in by_variant.items()]
    several = [line for line in found if len(line.points) > 1]
    if not several:
        return Plot("scaling-threads", _THREADS, "Left out: no model was timed with several numbers of threads.")
    lines, rest = first_few(several, len(SERIES))
    text = (
        "Network only, at each number of threads the best batch and streams of those asked for; medians; bars reach "
        f"from the lowest to the highest round; both axes logarithmic, so that twice the speed of twice the threads "
        f"is as steep everywhere.{rest}"
    )
    return Plot("scaling-threads", _THREADS, text, _draw(lines, "threads", "persons per second, network only"))


def _by_persons(row: Row) -> tuple[tuple[int, Spread], ...]:
    timed = row.speed.end_to_end if row.speed else ()
    return tuple(sorted(((one.persons, one.pps) for one in timed), key=lambda point: point[0]))


def _by_threads(rows: list[Row]) -> tuple[tuple[int, Spread], ...]:
    best = best_of_each(
        rows, lambda row: row.case.threads, lambda row: row.speed.network_pps.median if row.speed else 0.0
    )
    return tuple((threads, row.speed.network_pps) for threads, row in sorted(best.items()) if row.speed)


def _draw(lines: Sequence[_Line], xlabel: str, ylabel: str) -> Figure:
    with plot_settings():
        figure, axes = new_axes(height=3.6 + 0.1 * len(lines))
        entries: dict[str, ErrorbarContainer] = {}
        for line, color, mark in zip(lines, SERIES, _MARKS, strict=False):
            xs = [x for x, _ in line.points]
            middle = [one.median for _, one in line.points]
            bars = [
                [one.median - one.low for _, one in line.points],
                [one.high - one.median for _, one in line.points],
            ]
            entries[line.name] = axes.errorbar(xs, middle, bars, color=color, marker=mark, ms=5, lw=1.5, capsize=2.5)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        plain_log_scale(axes, "x")
        plain_log_scale(axes, "y")
        axes.set_xticks(sorted({x for line in lines for x, _ in line.points}))
        legend_below(figure, entries, columns=2 if len(entries) > 3 else 1)
    return figure

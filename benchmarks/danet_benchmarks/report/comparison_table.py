"""A comparison in the terminal."""

from __future__ import annotations

from rich.console import Console

from danet_benchmarks.report.compare import Change, Comparison
from danet_benchmarks.report.formatting import NONE, figure, points, points_less
from danet_benchmarks.report.section import Column, Section
from danet_benchmarks.report.table import fitting_table, plain
from danet_benchmarks.results import Case

_VERDICTS = ("worse", "better", "same", "not judged")
_BEYOND = (
    Column("case", right=False),
    Column("metric", right=False),
    Column("old"),
    Column("new"),
    Column("change"),
    Column("noise"),
    Column("verdict", right=False),
)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print warnings, the change of every metric, those beyond the noise in full, and a line that sums up."""
    for warning in comparison.warnings:
        console.print(plain(f"warning: {warning}", "yellow"))
    for section in (_overview(comparison), _beyond(comparison)):
        if section.rows:
            console.print()
            console.print(fitting_table(section, console))
    for case, why in comparison.failed:
        console.print(plain(f"failed now: {case.label}: {why}", "red"))
    console.print(plain(f"\n{_summary(comparison)}", "bold red" if comparison.regressed else "bold"))


def _overview(comparison: Comparison) -> Section:
    """A line to a case, a column to a metric."""
    judged = {change.metric: change.noise is not None for change in comparison.changes}
    metrics = sorted(judged, key=lambda metric: not judged[metric])
    by_case: dict[Case, dict[str, str]] = {}
    for change in comparison.changes:
        by_case.setdefault(change.case, {})[change.metric] = _change(change)
    columns = [Column(metric.replace(", ", "\n"), 0 if judged[metric] else 1) for metric in metrics]
    rows = ((case.label, *(cells.get(metric, NONE) for metric in metrics)) for case, cells in by_case.items())
    return Section("Change from the old run (AP in points)", (Column("case", right=False), *columns), tuple(rows))


def _beyond(comparison: Comparison) -> Section:
    changes = [change for change in comparison.changes if change.verdict in ("worse", "better")]
    changes.sort(key=lambda change: _VERDICTS.index(change.verdict))
    return Section("Beyond the noise", _BEYOND, tuple(_line(change) for change in changes))


def _line(change: Change) -> tuple[str, ...]:
    absolute = change.metric == "AP"
    old, new = (points(value) if absolute else figure(value) for value in (change.old, change.new))
    noise = NONE if change.noise is None else f"{100 * change.noise:.2f}" if absolute else f"{change.noise:.1%}"
    return change.case.label, change.metric, old, new, _change(change), noise, change.verdict


def _change(change: Change) -> str:
    if change.metric == "AP":
        return points_less(change.new, change.old)
    return NONE if change.ratio is None else f"{change.ratio - 1:+.1%}"


def _summary(comparison: Comparison) -> str:
    verdicts = [change.verdict for change in comparison.changes]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in _VERDICTS if verdict in verdicts)
    failed = f"; {len(comparison.failed)} failed" if comparison.failed else ""
    return f"{'Regression' if comparison.regressed else 'No regression'}: {counts or 'nothing to compare'}{failed}"

"""All plots of a report, in the order of the page."""

from __future__ import annotations

from danet_benchmarks.report.accuracy_plot import accuracy_drop
from danet_benchmarks.report.latency_plot import latencies
from danet_benchmarks.report.plot import Plot
from danet_benchmarks.report.scaling_plots import scaling_with_persons, scaling_with_threads
from danet_benchmarks.report.tradeoff_plots import ap_against_gmacs, ap_against_pps
from danet_benchmarks.results import Report


def make_plots(report: Report) -> tuple[Plot, ...]:
    """A plot for each question of docs/benchmark.md; one whose data is missing has no figure but a reason."""
    makers = (
        ap_against_gmacs,
        ap_against_pps,
        scaling_with_persons,
        scaling_with_threads,
        accuracy_drop,
        latencies,
    )
    return tuple(make(report) for make in makers)

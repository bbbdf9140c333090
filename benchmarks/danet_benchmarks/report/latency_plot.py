"""How evenly frames come out: the distribution of their latencies."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from danet_benchmarks.report.choice import first_few, quickest_variants, variant
from danet_benchmarks.report.formatting import persons
from danet_benchmarks.report.plot import Plot
from danet_benchmarks.report.plot_style import SERIES, legend_below, new_axes, plain_log_scale, plot_settings
from danet_benchmarks.results import FrameSpeed, Report, Row

MOST = 16
"""Rows that one plot can hold."""
_TITLE = "Latency of a frame"


def latencies(report: Report) -> Plot:
    """Box plots of single frames' latencies, one for each row and number of persons."""
    timed = [row for row in quickest_variants(report.rows) if _boxes(row)]
    if not timed:
        return Plot("latency", _TITLE, "Left out: no row was timed end to end.")
    rows, rest = first_few(timed, MOST)
    height, width = report.frame
    text = (
        f"From a {width}x{height} frame and its boxes to keypoints. Box: the middle half of the frames, line: the "
        "median, whiskers: 5 % and 95 %, dot: 99 %. Of each model, backend and precision the case that does most "
        f"persons a second.{rest}"
    )
    return Plot("latency", _TITLE, text, _draw([(variant(row), _boxes(row)) for row in rows]))


def _boxes(row: Row) -> list[FrameSpeed]:
    return [one for one in (row.speed.end_to_end if row.speed else ()) if one.latencies_ms]


def _draw(rows: list[tuple[str, list[FrameSpeed]]]) -> Figure:
    counts = sorted({one.persons for _, timed in rows for one in timed})
    colors = {count: SERIES[index % len(SERIES)] for index, count in enumerate(counts)}
    with plot_settings():
        figure, axes = new_axes(height=1.2 + len(rows) * (0.14 + 0.13 * len(counts)))
        for place, (_, timed) in enumerate(rows):
            for one in timed:
                offset = (counts.index(one.persons) + 0.5) / len(counts) - 0.5
                _draw_box(axes, place + 0.8 * offset, 0.55 / len(counts), one, colors[one.persons])
        axes.set_xlabel("milliseconds")
        plain_log_scale(axes, "x")
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.grid(axis="y", visible=False)
        entries = {f"{persons(count)} per frame": Patch(color=colors[count]) for count in counts}
        legend_below(figure, entries, columns=min(3, len(entries)))
    return figure


def _draw_box(axes: Axes, place: float, height: float, timed: FrameSpeed, color: str) -> None:
    low, q1, middle, q3, high, highest = np.percentile(timed.latencies_ms, (5, 25, 50, 75, 95, 99))
    beyond = [] if timed.tail_ms(99) is None else [highest]
    statistics: dict[str, Any] = {
        "whislo": low, "q1": q1, "med": middle, "q3": q3, "whishi": high, "fliers": beyond,
    }  # fmt: skip
    line = {"color": color, "linewidth": 1.0}
    axes.bxp(
        [statistics],
        positions=[place],
        widths=height,
        orientation="horizontal",
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": color, "edgecolor": color, "linewidth": 0.8, "alpha": 0.55},
        medianprops={"color": color, "linewidth": 2.0},
        whiskerprops=line,
        capprops=line,
        flierprops={"marker": "o", "markersize": 2.6, "markerfacecolor": color, "markeredgewidth": 0},
    )

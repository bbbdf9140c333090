"""AP against multiply-adds and against speed: the paper's Fig. 1a and 1b, its figures and ours marked apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from danet_benchmarks.report.choice import best_of_each
from danet_benchmarks.report.labels import Label, place_labels
from danet_benchmarks.report.paper import TABLE_II, Published
from danet_benchmarks.report.plot import Plot
from danet_benchmarks.report.plot_style import MUTED, SERIES, legend_below, new_axes, plain_log_scale, plot_settings
from danet_benchmarks.results import Report, Row

COCO, COCO_PERSONS = "person_keypoints_val2017", 6352
"""Name of the annotations that the paper's AP was measured on, and their persons with a labelled keypoint."""
COLORS = {"danet": SERIES[0], "rival": SERIES[1], "foreign": SERIES[2]}
KIND_NAMES = {"danet": "DANet", "rival": "random weights", "foreign": "given files"}

_SHAPES = {"fp32": "D", "int8": "s", "bf16": "^", "fp16": "v"}


@dataclass(frozen=True)
class _Across:
    """What a plot has on its horizontal axis."""

    label: str
    quantity: str
    ours: Callable[[Row], float | None]
    theirs: Callable[[Published], float | None]
    names_published: bool
    """Whether rows at the published AP are named; not where they lie on the paper's own points."""
    by_arithmetic: bool
    """Whether it depends on the arithmetic that the network ran in."""


def network_pps(row: Row) -> float | None:
    """The median of its network-only speed."""
    return row.speed.network_pps.median if row.speed else None


GMACS = _Across(
    "10⁹ multiply-adds to a person (the paper's GFLOPs)",
    "multiply-adds",
    lambda row: row.gmacs,
    lambda one: one.gmacs,
    False,
    False,
)
PPS = _Across("persons per second, network only", "speed", network_pps, lambda one: one.pps, True, True)


def ap_against_gmacs(report: Report) -> Plot:
    """Fig. 1a: AP on COCO val2017 against multiply-adds."""
    text = (
        "The paper's Fig. 1a. Grey: the paper's own figures (Table II). Open: the published AP over the multiply-adds "
        "counted here. Filled: AP measured in this run on COCO val2017, of each model the best of its backends "
        "and precisions. " + _protocol(report)
    )
    rows = best_of_each(report.rows, lambda row: (row.case.name, on_coco(row)), lambda row: _ap(row) or 0.0)
    return Plot("ap-gflops", "AP against GFLOPs", text, _draw(rows.values(), GMACS))


def ap_against_pps(report: Report) -> Plot:
    """Fig. 1b: AP on COCO val2017 against persons per second, network only."""
    title = "AP against persons per second"
    timed = [row for row in report.rows if network_pps(row) and _ap(row) and (on_coco(row) or _in_float(row))]
    if not timed:
        return Plot("ap-pps", title, "Left out: no timed row has an AP on COCO val2017, its own or a published one.")
    rows = list(best_of_each(timed, _network, lambda row: network_pps(row) or 0.0).values())
    threads = ", ".join(str(count) for count in sorted({row.case.threads for row in rows}))
    text = (
        "The paper's Fig. 1b. Grey: AP and speed both the paper's, on eight cores of a Xeon Gold at 2.1 GHz (known for "
        "DANet-72 and 102). Open: speed of this run in FP32 over the published AP: rivals have random weights, on "
        "which speed does not depend, and nothing is said here about the AP of any file of this run. Filled: speed "
        f"and COCO AP both of this run. {_protocol(report)} Each network's fastest case in each arithmetic; threads: "
        f"{threads}; {report.machine.cpu}."
    )
    return Plot("ap-pps", title, text, _draw(rows, PPS))


def on_coco(row: Row) -> bool:
    """Whether its AP was measured on the paper's data, all of it."""
    one = row.accuracy
    if one is None or one.paper_ap is not None:
        return one is not None
    return one.dataset.endswith(COCO) and one.persons == COCO_PERSONS


def _ap(row: Row) -> float | None:
    return row.accuracy.ap if row.accuracy and on_coco(row) else row.paper_coco_ap


def _in_float(row: Row) -> bool:
    """The published AP was measured in floating point, so it is shown for no other arithmetic."""
    return _arithmetic(row) == "fp32"


def _arithmetic(row: Row) -> str:
    """The first word of what the backend reports: int8 of "int8, rest fp32"."""
    return row.speed.effective_precision.lower().partition(",")[0] if row.speed else "fp32"


def _network(row: Row) -> tuple[str, str, bool]:
    return row.case.name, _arithmetic(row), on_coco(row)


def _protocol(report: Report) -> str:
    measured = dict.fromkeys(
        f"{one.boxes} boxes, {'flip test' if one.flip_test else 'no flip test'}"
        for row in report.rows
        if (one := row.accuracy) and on_coco(row)
    )
    return f"Its protocol: {'; '.join(measured)}." if measured else "No file of this run was measured on COCO."


def _draw(rows: Iterable[Row], across: _Across) -> Figure:
    shown = [(row, x, y) for row in rows if (x := across.ours(row)) and x > 0 and (y := _ap(row))]
    with plot_settings():
        figure, axes = new_axes()
        labels = [*_draw_paper(axes, across), *(_draw_row(axes, across, *one) for one in shown)]
        axes.set(xlabel=across.label, ylabel="AP, COCO val2017")
        axes.margins(x=0.13, y=0.12)
        plain_log_scale(axes, "x")
        _legend(figure, [row for row, _, _ in shown], across)
        place_labels(figure, axes, labels)
    return figure


def _draw_paper(axes: Axes, across: _Across) -> list[Label]:
    labels = []
    for _, members in groupby(TABLE_II, lambda one: one.family):
        shown = [(x, 100 * one.ap, one.name) for one in members if (x := across.theirs(one)) is not None]
        axes.plot([x for x, _, _ in shown], [y for _, y, _ in shown], color=MUTED, lw=0.8, marker="o", ms=4.5)
        labels += [Label(x, y, name, MUTED) for x, y, name in shown]
    return labels


def _draw_row(axes: Axes, across: _Across, row: Row, x: float, ap: float) -> Label:
    axes.plot(x, 100 * ap, **_mark(row, across))
    named = on_coco(row) or across.names_published
    return Label(x, 100 * ap, row.case.name if named else "", COLORS[row.case.kind])


def _mark(row: Row, across: _Across) -> dict[str, Any]:
    """Colour: kind of model; filled: AP of this run; shape: arithmetic, where that matters."""
    color = COLORS[row.case.kind]
    shape = _SHAPES.get(_arithmetic(row), "X") if across.by_arithmetic else "D"
    face = color if on_coco(row) else "none"
    return {"color": color, "marker": shape, "linewidth": 0, "markersize": 6.5, "mfc": face, "mew": 1.3}


def _legend(figure: Figure, rows: list[Row], across: _Across) -> None:
    entries = {f"AP and {across.quantity} the paper's": Line2D([], [], color=MUTED, lw=0.8, marker="o", ms=4.5)}
    for row in sorted(rows, key=lambda one: (one.case.kind, not on_coco(one))):
        what = "AP and" if on_coco(row) else "published AP,"
        arithmetic = f" in {_arithmetic(row)}" if across.by_arithmetic else ""
        name = f"{KIND_NAMES[row.case.kind]}: {what} {across.quantity}{arithmetic} of this run"
        entries.setdefault(name, Line2D([], [], **_mark(row, across)))
    legend_below(figure, entries, columns=1)

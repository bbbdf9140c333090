"""What exporting and rounding cost: AP of each file and backend less its checkpoint's."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from danet_benchmarks.report.formatting import points_less
from danet_benchmarks.report.plot import Plot
from danet_benchmarks.report.plot_style import MUTED, SERIES, new_axes, plot_settings
from danet_benchmarks.results import Report

_TITLE = "Accuracy drop per backend"


def accuracy_drop(report: Report) -> Plot:
    """AP less the AP of the checkpoint in torch, for each model, backend and precision that has one."""
    drops: dict[str, tuple[float, float]] = {}
    for row in report.rows:
        one = row.accuracy
        if one is not None and one.reference_ap is not None:
            name = f"{row.case.name} {row.case.backend} {row.case.precision}"
            drops[f"{name}\n{one.dataset}"] = (one.ap, one.reference_ap)
    if not drops:
        return Plot("ap-drop", _TITLE, "Left out: no row has an AP beside that of its checkpoint.")
    datasets = {name.split("\n")[1] for name in drops}
    if len(datasets) == 1:
        drops = {name.split("\n")[0]: pair for name, pair in drops.items()}
    text = (
        f"AP less that of the checkpoint run in torch on the same crops, in points (0.01 AP); {', '.join(datasets)}. "
        "Left of the line: the file is worse than the checkpoint."
    )
    with plot_settings():
        return Plot("ap-drop", _TITLE, text, _draw(drops))


def _draw(drops: dict[str, tuple[float, float]]) -> Figure:
    figure, axes = new_axes(height=1.0 + 0.3 * len(drops))
    for place, (ap, reference) in enumerate(drops.values()):
        _draw_drop(axes, place, ap, reference)
    axes.axvline(0, color=MUTED, lw=0.9)
    widest = max(0.1, *(abs(100 * (ap - reference)) for ap, reference in drops.values()))
    axes.set(xlim=(-1.35 * widest, 1.35 * widest), xlabel="AP less the checkpoint's, points")
    axes.set_yticks(range(len(drops)), list(drops))
    axes.set_ylim(len(drops) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    return figure


def _draw_drop(axes: Axes, place: int, ap: float, reference: float) -> None:
    less = 100 * (ap - reference)
    color = SERIES[1] if less < 0 else SERIES[0]
    axes.barh(place, less, height=0.5, color=color)
    axes.plot(less, place, "o", color=color, ms=4)
    axes.annotate(
        points_less(ap, reference),
        (less, place),
        xytext=(-6 if less < 0 else 6, 0),
        textcoords="offset points",
        ha="right" if less < 0 else "left",
        va="center",
        fontsize=8.5,
    )

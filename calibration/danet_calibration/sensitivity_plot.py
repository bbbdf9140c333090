"""The sensitivity report as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from matplotlib.figure import Figure

from danet.files import write_beside
from danet_calibration.results import GroupCost


def draw_sensitivity(costs: Sequence[GroupCost], path: Path, title: str) -> None:
    """Bars of AP lost and of time, one row to a group, in the costs' order from the top; a .png."""
    names = [f"{cost.group} ({'float' if cost.in_float else 'INT8'})" for cost in costs]
    rows = range(len(costs))
    figure = Figure(figsize=(11, 1.6 + 0.34 * len(costs)), layout="constrained")
    loss, time = figure.subplots(1, 2, sharey=True)
    loss.barh(rows, [cost.drop for cost in costs], color="#b3402a")
    loss.axvline(0, color="black", linewidth=0.8)
    loss.set_yticks(rows, names)
    loss.invert_yaxis()
    loss.set_xlabel("AP lost when quantized alone")
    if any(cost.float_ms is not None for cost in costs):
        time.barh(
            [row - 0.2 for row in rows], [cost.float_ms or 0 for cost in costs], 0.4, color="#8a8f98", label="float"
        )
        time.barh(
            [row + 0.2 for row in rows], [cost.int8_ms or 0 for cost in costs], 0.4, color="#2a6cb3", label="INT8"
        )
        time.set_xlabel("ms to a batch")
        time.legend(loc="lower right")
    figure.suptitle(fill(title, 120), fontsize=8)
    with write_beside(path) as temporary:
        figure.savefig(temporary, dpi=120)

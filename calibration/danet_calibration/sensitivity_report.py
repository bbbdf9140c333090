"""The sensitivity report: which groups cost how much AP and how much time, as JSON, Markdown and a plot."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import isnan, nan
from pathlib import Path

from danet.cpu import read_cpu
from danet.files import write_beside
from danet_calibration.accuracy_control import fixed_batch
from danet_calibration.job import Job, quantized
from danet_calibration.layer_times import REST, group_times
from danet_calibration.results import GroupCost
from danet_calibration.sensitivity import measure_sensitivity
from danet_calibration.strategy import Strategy
from danet_evaluation.evaluate import without_nan

BATCH = 8
TIMED = "openvino"
"""The format whose graphs are timed."""


def report_sensitivity(job: Job, strategy: Strategy, folder: Path) -> list[GroupCost]:
    """Measure every group of a graph and write `sensitivity-FORMAT.json`, `.md` and, with matplotlib, `.png`.

    Times are OpenVINO's, so that an ONNX graph's report has none, and no row of what no group claims.

    Raises:
        BudgetSpentError: the minutes are over.
    """
    costs = _timed(job, strategy, measure_sensitivity(job, strategy, everything=True))
    stem = folder / f"sensitivity-{job.format.name}"
    about = _about(job, strategy)
    with write_beside(stem.with_suffix(".json")) as temporary:
        content = {"about": about, "groups": [without_nan(asdict(cost)) for cost in costs]}
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    with write_beside(stem.with_suffix(".md")) as temporary:
        temporary.write_text(f"{about}\n\n{markdown_table(costs)}\n", encoding="utf-8")
    if importlib.util.find_spec("matplotlib"):
        from danet_calibration.sensitivity_plot import draw_sensitivity

        draw_sensitivity(costs, stem.with_suffix(".png"), about)
    return costs


def markdown_table(costs: Sequence[GroupCost]) -> str:
    """The costs as a Markdown table, in their order."""
    lines = [
        "| group | operations | weights | AP lost alone | float, ms | INT8, ms | in the default scope |",
        "|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        times = [_time(cost.float_ms), _time(cost.int8_ms)]
        drop = "-" if isnan(cost.drop) else f"{cost.drop:+.4f}"
        scope = "float" if cost.in_float else "INT8"
        cells = [cost.group, str(cost.operations), str(cost.weights), drop, *times, scope]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _time(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _about(job: Job, strategy: Strategy) -> str:
    words = replace(strategy.scope_alone(), float_roles=(), float_groups=("all other groups",)).describe()
    about = (
        f"{job.float_model.spec.name}, {job.format.name}: each group quantized alone ({words}), "
        f"measured on {len(job.tuning.persons)} persons of {job.tuning.name}"
    )
    if job.format.name != TIMED:
        return about
    return (
        f"{about}; times of one batch of {_batch(job)} on {read_cpu().name}, in float and with the whole default scope "
        "quantized"
    )


def _batch(job: Job) -> int:
    return fixed_batch(job.graph) or min(BATCH, len(job.calibration.crops))


def _timed(job: Job, strategy: Strategy, costs: Sequence[GroupCost]) -> list[GroupCost]:
    if job.format.name != TIMED:
        return list(costs)
    models = {"float": job.graph, "int8": quantized(job, strategy)}
    times = group_times(models, job.operations, next(job.calibration.crops.batches(_batch(job))))
    rest = GroupCost(REST, 0, 0, nan, nan, True)
    return [
        replace(cost, float_ms=times["float"][cost.group], int8_ms=times["int8"][cost.group]) for cost in (*costs, rest)
    ]

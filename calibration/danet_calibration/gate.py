"""The gate: a quantized file is written only when its measured AP is near enough to the float model's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.batching import BatchedModel
from danet.errors import DanetError
from danet.model_spec import Metric, ModelSpec
from danet_calibration.accuracy_control import NothingQuantizedError
from danet_calibration.job import Job, attempt, float_aps
from danet_calibration.ladder import ladder
from danet_calibration.results import Accuracy, Attempt, GroupCost, Outcome
from danet_calibration.sensitivity import measure_sensitivity
from danet_calibration.strategy import Strategy
from danet_calibration.watch import BudgetSpentError
from danet_converters.export import written_whole

COMPARED = 4
"""Crops by which a written file is compared with the one that was measured."""
Told = Callable[[Attempt], None]
BROKEN = 0.5
"""Part of the float AP. A strategy that loses more has not too few layers in float but ranges of other
pictures than persons, which no wider scope mends; looked at from where masks and features are as in the float model."""


class WrittenFileError(DanetError):
    """A file that was written does not compute what the measured one computes; it was not kept."""


def quantize_gated(job: Job, strategy: Strategy, target: Path, calibration: str, told: Told) -> Outcome:
    """Climb the ladder until a strategy passes, and write its file; or write none.

    The climb ends early where a strategy loses so much that the calibration data must be wrong.

    Args:
        job: what is quantized.
        strategy: of the first rung.
        target: the file to write; its suffix is the format's.
        calibration: the data and crops in words, for the ModelSpec.
        told: called with each attempt.

    Raises:
        InputError: validation data on which no drop could be told.
        WrittenFileError: the file that was written does not compute what was measured.
        ModelFileError, ModelSpecError: the float model cannot be read.
    """
    attempts: list[Attempt] = []
    costs: list[GroupCost] = []
    references: tuple[float, ...] = ()

    def sensitivity() -> list[GroupCost]:
        costs[:] = measure_sensitivity(job, strategy)
        return costs

    def outcome(written: Path | None, reason: str) -> Outcome:
        return Outcome(job.format.name, written, reason, references, tuple(attempts), tuple(costs))

    rungs = ladder(strategy, sensitivity) if job.format.ladder else iter([("default", strategy)])
    try:
        references = float_aps(job)
        for rung, tried in rungs:
            done, graph = attempt(job, rung, tried, references)
            attempts.append(done)
            told(done)
            if done.passed:
                _write(job, graph, target, _final_spec(job, done, calibration))
                return outcome(target, f"{rung}: AP drop {done.drop:.4f}, allowed {job.max_drop:g}")
            if tried.coarse_masks or tried.byte_features:
                continue  # the next rung has another graph, which may be what this one lacks
            for one in done.accuracies:
                if one.drop > BROKEN * one.float_ap:
                    lost = f"AP drop {one.drop:.4f} of {one.float_ap:.4f} on {one.data}"
                    return outcome(None, f"{rung}: {lost}; do the crops show persons?")
    except (BudgetSpentError, NothingQuantizedError) as error:
        return outcome(None, str(error))
    least = min(done.drop for done in attempts)
    return outcome(None, f"the smallest AP drop of {len(attempts)} attempts is {least:.4f}, allowed {job.max_drop:g}")


def _final_spec(job: Job, done: Attempt, calibration: str) -> ModelSpec:
    drops = [f"AP drop {one.drop:.4f} ({one.float_ap:.4f} in float) on {_data(one)}" for one in done.accuracies]
    method = "annotated boxes, no flip test"
    words = "; ".join((calibration, job.format.method(done.strategy), *_tuned(job, done.strategy), *drops, method))
    metrics = tuple(
        Metric("AP", round(one.ap, 4), _data(one), f"{method}; the int8 {job.format.name} file")
        for one in done.accuracies
    )
    return replace(job.float_model.spec, precision="int8", calibration=words, metrics=metrics)


def _tuned(job: Job, strategy: Strategy) -> tuple[str, ...]:
    """On which persons layers were chosen, where any were, and whether the AP is of the same."""
    if not (strategy.float_groups or strategy.accuracy_control):
        return ()
    same = "" if job.held_out else ", which the AP is of too"
    return (f"layers in float chosen on {job.tuning.name}, {len(job.tuning.persons)} persons{same}",)


def _data(measured: Accuracy) -> str:
    return f"{measured.data}, {measured.persons} persons"


def _write(job: Job, graph: Any, target: Path, spec: ModelSpec) -> None:
    """Write the graph that was measured, if what is read back is the same."""
    suffixes = job.format.suffixes
    crops = next(job.calibration.crops.batches(COMPARED))
    with written_whole(target, suffixes) as written:
        job.format.write(graph, spec, written)
        if not np.array_equal(
            _answer(written, spec, crops, True), _answer(job.scratch / f"candidate{suffixes[0]}", spec, crops, False)
        ):
            raise WrittenFileError(f"{target.name}: its heatmaps differ from those of the measured file; not kept")


def _answer(path: Path, spec: ModelSpec, crops: Any, final: bool) -> Any:
    loaded = load_model(path, None, BackendOptions(keep_compiled=False))
    try:
        if final and loaded.spec != spec:
            raise WrittenFileError(f"{path.name}: the spec read back differs from the one written; not kept")
        model = BatchedModel(loaded.backend, loaded.batch_sizes or (COMPARED,))
        return model.run(crops, (len(spec.keypoints), *spec.heatmap_size))
    finally:
        loaded.backend.close()

"""One graph to be quantized: what every strategy shares, and the measuring of one strategy."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet.tuning.settings import Settings
from danet_calibration.accuracy_control import control_accuracy
from danet_calibration.data import dataset_digest
from danet_calibration.float_model import FloatModel
from danet_calibration.formats import Format
from danet_calibration.nncf_ptq import Calibration
from danet_calibration.results import Attempt
from danet_calibration.roles import Placed, place
from danet_calibration.strategy import Strategy
from danet_calibration.workspace import files_digest, key_of
from danet_evaluation.coco import KeypointDataset
from danet_evaluation.evaluate import run

INPUT = "images"
"""Name of the graph's input, as the converters write it."""


@dataclass(frozen=True, eq=False)
class Job:
    """A float model, what it is calibrated with and what it is measured on."""

    format: Format
    float_model: FloatModel
    graph: Any
    operations: tuple[Placed, ...]
    calibration: Calibration
    validation: KeypointDataset
    max_drop: float
    scratch: Path

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes this job's calibrations differ from another's."""
        return self.format.name, self.float_model.digest, self.calibration.crops.digest

    def measured_on(self, persons: int) -> Job:
        """The same job, measured on fewer persons."""
        return replace(self, validation=self.validation.first(persons))


def prepare(
    format: Format,
    float_model: FloatModel,
    calibration: Calibration,
    validation: KeypointDataset,
    max_drop: float,
    scratch: Path,
) -> Job:
    """Read the float model's graph and tell the roles of its operations.

    Raises:
        ModelFileError: the file cannot be read.
    """
    graph = format.read(float_model.path)
    placed = tuple(place(format.operations(graph), float_model.spec.input_size[0]))
    return Job(format, float_model, graph, placed, calibration, validation, max_drop, scratch)


def file_ap(job: Job, path: Path, words: str) -> float:
    """Keypoint AP of a model file on the job's validation data; kept by the file's bytes.

    Raises:
        InputError: as `danet_evaluation.evaluate.run`.
        BudgetSpentError: the minutes are over.
    """
    digest = files_digest(*(path.with_suffix(suffix) for suffix in (path.suffix, ".bin")))
    return _kept_ap(job, path, words, key_of("ap", digest, dataset_digest(job.validation)))


def float_ap(job: Job) -> float:
    """Keypoint AP of the float model on the job's validation data.

    Raises:
        InputError: it is so low that no drop could be told.
    """
    key = key_of("float ap", *job.key[:2], dataset_digest(job.validation))
    ap = _kept_ap(job, job.float_model.path, "float model", key)
    if not ap > job.max_drop:
        raise InputError(
            f"{job.float_model.spec.name} reaches AP {ap:.3f} on {job.validation.name} in float, so that a drop of "
            f"{job.max_drop:g} cannot be told; give validation data that the model can do"
        )
    return ap


def _kept_ap(job: Job, path: Path, words: str, key: str) -> float:
    workspace = job.calibration.workspace
    if known := workspace.figures(key):
        return float(known["ap"])
    # pinned: settings that danet tune keeps beside a float file may ask for bfloat16
    with PoseEstimator(path, settings=Settings(precision="fp32")) as estimator:
        progress = job.calibration.watch.task(f"AP, {words}", len(job.validation.persons))
        ap = run(estimator, job.validation, None, progress).evaluation.figures.ap
    workspace.keep(key, {"ap": ap})
    return ap


def quantized(job: Job, strategy: Strategy) -> Any:
    """The job's graph, quantized by a strategy; not yet measured.

    Raises:
        BudgetSpentError: the minutes are over.
    """
    if strategy.accuracy_control:
        return control_accuracy(
            job.graph, job.operations, strategy, job.calibration, job.validation, job.float_model.spec, job.max_drop
        )
    key = key_of("statistics", *job.key, strategy.to_dict())
    return job.format.quantize(job.graph, job.operations, strategy, job.calibration, key, INPUT)


def known_attempt(job: Job, rung: str, strategy: Strategy, reference: float) -> Attempt | None:
    """What an earlier run measured of a strategy, or None; arguments as `attempt`'s."""
    known = job.calibration.workspace.figures(_attempt_key(job, strategy))
    if known is None:
        return None
    drop = reference - known["ap"]
    return Attempt(rung, strategy, known["ap"], drop, known["size"], drop <= job.max_drop, 0.0, reused=True)


def attempt(job: Job, rung: str, strategy: Strategy, reference: float) -> tuple[Attempt, Any]:
    """Quantize by one strategy and measure the file; also the graph, None where an earlier run saw it fail.

    Args:
        job: what to quantize.
        rung: what the attempt is called.
        strategy: how.
        reference: AP of the float model.
    """
    started = time.monotonic()
    known = known_attempt(job, rung, strategy, reference)
    if known and not known.passed:
        return known, None
    graph = quantized(job, strategy)
    candidate = job.scratch / f"candidate{job.format.suffixes[0]}"
    job.format.write(graph, replace(job.float_model.spec, precision="int8"), candidate)
    ap = file_ap(job, candidate, rung)
    size = sum(candidate.with_suffix(suffix).stat().st_size for suffix in job.format.suffixes)
    job.calibration.workspace.keep(_attempt_key(job, strategy), {"ap": ap, "size": size})
    drop = reference - ap
    return Attempt(rung, strategy, ap, drop, size, drop <= job.max_drop, time.monotonic() - started), graph


def _attempt_key(job: Job, strategy: Strategy) -> str:
    return key_of("attempt", *job.key, strategy.to_dict(), dataset_digest(job.validation), job.max_drop)

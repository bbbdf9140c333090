"""One graph to be quantized: what every strategy shares, and the measuring of one strategy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet.model_files import model_sha256
from danet.tuning.settings import Settings
from danet_calibration.accuracy_control import control_accuracy
from danet_calibration.coarse_masks import coarsen_masks
from danet_calibration.data import Data, dataset_digest
from danet_calibration.float_model import FloatModel
from danet_calibration.formats import Format
from danet_calibration.input_bytes import quantize_bytes
from danet_calibration.nncf_ptq import Calibration
from danet_calibration.results import Accuracy, Attempt
from danet_calibration.roles import Placed, place
from danet_calibration.strategy import Strategy
from danet_calibration.workspace import key_of, measured_key
from danet_evaluation.coco import KeypointDataset
from danet_evaluation.evaluate import run


@dataclass(frozen=True, eq=False)
class Job:
    """A float model, what it is calibrated with and what it is measured on."""

    format: Format
    float_model: FloatModel
    graph: Any
    operations: tuple[Placed, ...]
    calibration: Calibration
    validations: tuple[KeypointDataset, ...]
    """The annotated data first."""
    tuning: KeypointDataset
    """What layers are ranked and given back to float on."""
    max_drop: float
    scratch: Path

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes this job's calibrations differ from another's."""
        return self.format.name, self.float_model.digest, self.calibration.crops.digest

    def fitting(self, strategy: Strategy) -> Strategy:
        """A strategy without what the format, or this network, does not have."""
        fitting = self.format.fitting(strategy)
        if fitting.coarse_masks and not coarsen_masks(self.graph.clone(), fitting.coarse_masks):
            return replace(fitting, coarse_masks=())
        return fitting

    @property
    def held_out(self) -> bool:
        """Whether the persons that are tuned on are others than those that are measured on."""
        return all(data.name != self.tuning.name for data in self.validations)

    def on_tuning(self) -> Job:
        """The same job, measured on the persons that are tuned on alone."""
        return replace(self, validations=(self.tuning,))


def prepare(
    format: Format,
    float_model: FloatModel,
    calibration: Calibration,
    data: Data,
    max_drop: float,
    scratch: Path,
) -> Job:
    """Read the float model's graph and tell the roles of its operations.

    Raises:
        ModelFileError: the file cannot be read.
    """
    graph = format.read(float_model.path)
    placed = tuple(place(format.operations(graph), float_model.spec.input_size[0]))
    return Job(format, float_model, graph, placed, calibration, data.validations, data.tuning, max_drop, scratch)


def file_aps(job: Job, path: Path, words: str) -> tuple[float, ...]:
    """Keypoint AP of a model file on each of the job's data sets; kept by the file's bytes.

    Raises:
        InputError: as `danet_evaluation.evaluate.run`.
    """
    digest = model_sha256(path)
    return tuple(
        _kept_ap(job, path, words, data, measured_key("ap", digest, dataset_digest(data))) for data in job.validations
    )


def float_aps(job: Job) -> tuple[float, ...]:
    """Keypoint AP of the float model on each of the job's data sets.

    Raises:
        InputError: one is so low that no drop could be told.
        BudgetSpentError: the minutes are over.
    """
    return tuple(_float_ap(job, data) for data in job.validations)


def _float_ap(job: Job, data: KeypointDataset) -> float:
    key = measured_key("float ap", *job.key[:2], dataset_digest(data))
    ap = _kept_ap(job, job.float_model.path, "float model", data, key, is_step=True)
    if not ap > job.max_drop:
        raise InputError(
            f"{job.float_model.spec.name} reaches AP {ap:.3f} on {data.name} in float, so that a drop of "
            f"{job.max_drop:g} cannot be told; give validation data that the model can do"
        )
    return ap


def _kept_ap(job: Job, path: Path, words: str, data: KeypointDataset, key: str, *, is_step: bool = False) -> float:
    workspace = job.calibration.workspace
    if known := workspace.figures(key):
        return float(known["ap"])
    if is_step:
        job.calibration.watch.begin_step()
    loaded = load_model(path, None, BackendOptions(precision="fp32", keep_compiled=False))
    size = loaded.batch_sizes[-1] if loaded.batch_sizes else None
    # explicit settings: those that danet tune keeps beside a float file may ask for bfloat16
    with PoseEstimator(
        path, spec=loaded.spec, backend=loaded.backend, batch_size=size, settings=Settings()
    ) as estimator:
        progress = job.calibration.watch.task(f"AP, {words}", len(data.persons))
        ap = run(estimator, data, None, progress).evaluation.figures.ap
    workspace.keep(key, {"ap": ap})
    return ap


def quantized(job: Job, strategy: Strategy) -> Any:
    """The job's graph, quantized by a strategy; not yet measured."""
    if strategy.accuracy_control:
        graph = control_accuracy(
            job.graph, job.operations, strategy, job.calibration, job.tuning, job.float_model.spec, job.max_drop
        )
        if job.format.byte_input:
            quantize_bytes(graph)
        return graph
    # by the file itself: the same checkpoint is another graph to another PyTorch
    digests = model_sha256(job.float_model.path), job.calibration.crops.digest
    key = key_of("statistics", job.format.name, *digests, strategy.to_dict())
    name = job.format.input_name(job.graph)
    return job.format.quantize(job.graph, job.operations, strategy, job.calibration, key, name)


def known_attempt(job: Job, rung: str, strategy: Strategy, references: Sequence[float]) -> Attempt | None:
    """What an earlier run measured of a strategy, or None; arguments as `attempt`'s."""
    known = job.calibration.workspace.figures(_attempt_key(job, strategy))
    if known is None:
        return None
    return replace(_attempt(job, rung, strategy, references, known["aps"], known["size"], 0.0), reused=True)


def _attempt(
    job: Job,
    rung: str,
    strategy: Strategy,
    references: Sequence[float],
    aps: Sequence[float],
    size: int,
    seconds: float,
) -> Attempt:
    accuracies = tuple(
        Accuracy(data.name, len(data.persons), reference, ap)
        for data, reference, ap in zip(job.validations, references, aps, strict=True)
    )
    passed = all(accuracy.drop <= job.max_drop for accuracy in accuracies)
    return Attempt(rung, strategy, accuracies, size, passed, seconds)


def attempt(job: Job, rung: str, strategy: Strategy, references: Sequence[float]) -> tuple[Attempt, Any]:
    """Quantize by one strategy and measure the file; also the graph, None where an earlier run saw it fail.

    Args:
        job: what to quantize.
        rung: what the attempt is called.
        strategy: how.
        references: AP of the float model on each data set.

    Raises:
        BudgetSpentError: the minutes are over.
    """
    started = time.monotonic()
    known = known_attempt(job, rung, strategy, references)
    if known and not known.passed:
        return known, None
    # else it only makes the graph again, and must not cost a rerun the one step that it may do
    if known is None or strategy.accuracy_control:
        job.calibration.watch.begin_step()
    graph = quantized(job, strategy)
    candidate = job.scratch / f"candidate{job.format.suffixes[0]}"
    job.format.write(graph, replace(job.float_model.spec, precision="int8"), candidate)
    aps = file_aps(job, candidate, rung)
    size = sum(candidate.with_suffix(suffix).stat().st_size for suffix in job.format.suffixes)
    job.calibration.workspace.keep(_attempt_key(job, strategy), {"aps": aps, "size": size})
    return _attempt(job, rung, strategy, references, aps, size, time.monotonic() - started), graph


def _attempt_key(job: Job, strategy: Strategy) -> str:
    digests = [dataset_digest(data) for data in (*job.validations, job.tuning)]
    return measured_key("attempt", *job.key, strategy.to_dict(), digests, job.max_drop)

"""From a request to gated files and a report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from danet.commands.outputs import identity
from danet.cpu import read_cpu
from danet.embedded import embedded_model
from danet.errors import DanetError, InputError, ModelFileError
from danet.files import refuse_folder, scratch_beside
from danet.model_files import model_files
from danet.peak_memory import peak_memory
from danet_calibration.crops import CalibrationCrops, cut_crops
from danet_calibration.data import Data, find_data, refuse_unusable
from danet_calibration.float_model import FloatModel, open_float
from danet_calibration.formats import FORMATS, Format
from danet_calibration.gate import Told, quantize_gated
from danet_calibration.job import prepare
from danet_calibration.nncf_ptq import Calibration
from danet_calibration.request import Request
from danet_calibration.results import Outcome
from danet_calibration.sensitivity_report import report_sensitivity
from danet_calibration.watch import BudgetSpentError, Watch
from danet_calibration.workspace import FOLDER, Workspace
from danet_converters.export import refuse_other_names
from danet_evaluation.coco import KeypointDataset

SCRATCH = "quantize"
"""What is prepared beside the files to come is in a hidden folder of that name."""


@dataclass(frozen=True)
class Report:
    """What a run found: each format's outcome, and what it was calibrated and measured on."""

    request: Request
    outcomes: tuple[Outcome, ...]
    calibration: str
    crops: CalibrationCrops
    validations: tuple[KeypointDataset, ...]
    tuning: KeypointDataset
    """What layers are chosen on where a strategy chooses."""
    seconds: float
    peak_memory: int
    """Bytes that the process held at most."""
    reused: int
    """Results of earlier runs that were taken over."""
    unfinished: bool
    """Whether the minutes were over before the sensitivity report that was asked for."""

    @property
    def passed(self) -> bool:
        """Whether every format was written."""
        return all(outcome.written for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        request = self.request
        return {
            "model": request.model,
            "max_drop": request.max_drop,
            "passed": self.passed,
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
            "calibration": {
                "data": self.calibration,
                "seed": request.data.seed,
                "sources": self.crops.sources,
                "sha256": list(self.crops.hashes),
            },
            "validation": [
                {
                    "data": data.name,
                    "pictures": len(data.pictures),
                    "persons": len(data.persons),
                    "boxes": "annotated",
                    "flip_test": False,
                }
                for data in self.validations
            ],
            "tuning": {"data": self.tuning.name, "persons": len(self.tuning.persons)},
            "seconds": round(self.seconds, 1),
            "unfinished": self.unfinished,
            "peak_memory_bytes": self.peak_memory,
            "reused_results": self.reused,
            "cpu": asdict(read_cpu()),
            "date": time.strftime("%F"),
        }


def quantize(request: Request, watch: Watch, told: Callable[[str], Told]) -> Report:
    """Quantize a model to each format asked for, behind the gate.

    Args:
        request: what is wanted.
        watch: bars and the time budget.
        told: gives, for a format, what is called with each of its attempts.

    Raises:
        DanetError: the model, the data or the request cannot be used. Where no strategy passes, nothing
            is raised: the report's outcome says so, and no file is written. So it is where one format of several
            cannot be made.
        OSError: a folder that cannot be written to, told before any work is done.
    """
    _refuse_unusable(request)
    # beside the files to come: a temporary folder may be small memory, and nobody would tidy up after a kill
    with scratch_beside(request.out / SCRATCH) as scratch:
        opened = {name: open_float(request.model, FORMATS[name], scratch / "float") for name in request.formats}
        if len({model.digest for model in opened.values()}) > 1:
            raise ModelFileError(f"{request.model} was changed between two formats; quantize a copy of it")
        targets = {name: _target(request, FORMATS[name], model) for name, model in opened.items()}
        data, crops = _data(request, next(iter(opened.values())), scratch, watch)
        workspace = Workspace(request.out / FOLDER)
        calibration = Calibration(crops, workspace, watch)
        outcomes = []
        unfinished = False
        for name, float_model in opened.items():
            try:
                job = prepare(FORMATS[name], float_model, calibration, data, request.max_drop, scratch)
                outcomes.append(
                    quantize_gated(job, job.fitting(request.strategy), targets[name], _words(request, data), told(name))
                )
            except DanetError as error:
                if len(opened) == 1:
                    raise
                outcomes.append(Outcome(name, None, str(error), (), ()))  # the report tells of the other formats
                continue
            if request.sensitivity is not None:
                try:
                    report_sensitivity(job, job.fitting(request.strategy), request.sensitivity)
                except BudgetSpentError:  # what was measured is kept for a rerun
                    unfinished = True
    return Report(
        request,
        tuple(outcomes),
        data.calibration,
        crops,
        data.validations,
        data.tuning,
        watch.seconds,
        peak_memory(),
        workspace.reused,
        unfinished,
    )


def _refuse_unusable(request: Request) -> None:
    """Refuse what can be told to go wrong before a checkpoint is exported."""
    if request.name is not None:
        refuse_other_names(request.name)
    whole = [name for name in request.formats if not FORMATS[name].ladder]
    if request.sensitivity is not None and whole:
        raise InputError(
            f"a sensitivity report of {whole[0]}, whose quantizer takes no group of layers alone; ask for it with "
            "openvino or onnx"
        )
    refuse_unusable(request.data)
    for folder in (request.out, request.sensitivity):
        if folder is not None:
            with scratch_beside(folder / FOLDER):  # a try: permissions do not tell of read-only disks
                pass


def _data(request: Request, model: FloatModel, scratch: Path, watch: Watch) -> tuple[Data, CalibrationCrops]:
    persons = min(request.data.rendered_persons, request.data.limit or request.data.rendered_persons)
    data = find_data(request.data, watch.task("scenes", persons) if persons else lambda _: None)
    crops = cut_crops(data.chosen, model.spec, scratch / "crops", watch.task("crops", len(data.chosen)))
    return data, crops


def _words(request: Request, data: Data) -> str:
    return f"{data.calibration}, seed {request.data.seed}"


def _target(request: Request, wanted: Format, model: FloatModel) -> Path:
    target = request.out / f"{request.name or model.spec.name + '-int8'}{wanted.suffixes[0]}"
    given = [identity(file) for file in model_files(embedded_model(request.model) or Path(request.model))]
    for file in (target.with_suffix(suffix) for suffix in wanted.suffixes):
        refuse_folder(file)
        known = identity(file)
        if known is not None and known in given:  # a checkpoint may be a .bin, as an IR's weights are
            raise InputError(f"{file} is the float model itself; give another --name or --out")
    return target

"""Accuracy in a worker process: one data set, and the models that run on it one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from danet.errors import DanetError, InputError, MissingExtraError
from danet.estimator import PoseEstimator
from danet.model_spec import ModelSpec, Precision, Refinement
from danet.tuning.settings import Settings
from danet_benchmarks.report.paper import PAPER_PRESETS
from danet_benchmarks.request import DataChoice
from danet_benchmarks.results import Accuracy
from danet_benchmarks.worker import Tell

if TYPE_CHECKING:
    from danet_evaluation.coco import KeypointDataset
    from danet_evaluation.detections import Detections
    from danet_evaluation.evaluate import Run


@dataclass(frozen=True)
class Candidate:
    """A model as accuracy tells it apart: batches and threads do not change it."""

    path: Path
    backend: str
    hint: Precision | None
    threads: int
    checkpoint: Path | None
    """The reference; None: there is none."""
    decoder: Refinement | None = None
    box_padding: float | None = None
    """None: the file's own."""

    def reference(self, spec: ModelSpec) -> Candidate | None:
        """The checkpoint in torch, cropped and decoded as by this candidate's spec: what differs is the network."""
        if self.checkpoint is None:
            return None
        refinement, padding = spec.decoder.refinement, spec.box_padding
        return Candidate(self.checkpoint, "torch", None, self.threads, self.checkpoint, refinement, padding)


@dataclass(frozen=True)
class Judged:
    """What came of a candidate."""

    accuracy: Accuracy
    without_reference: str | None
    """Why its checkpoint could not be run."""


class Evaluator:
    """A data set, loaded once.

    Args:
        data: which one, and the protocol.
        rendered_persons: how many where nothing is given.

    Raises:
        InputError: the data set cannot be read or holds no person.
        MissingExtraError: pycocotools is not installed.
    """

    def __init__(self, data: DataChoice, rendered_persons: int) -> None:
        try:
            import danet_evaluation.evaluate  # noqa: F401
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("pycocotools"):
                raise
            raise MissingExtraError("measuring accuracy", "evaluate", "pycocotools") from error
        self._flip_test = data.flip_test
        self._dataset = _dataset(data, rendered_persons)
        if not self._dataset.persons:
            raise InputError(f"{self._dataset.name}: no person with a box and a labelled keypoint")
        self._detections = _detections(data)
        self._runs: dict[Candidate, tuple[ModelSpec, Run]] = {}

    def persons_to_run(self, candidate: Candidate) -> int:
        """How many persons `judge` will tell of."""
        missing = int(candidate not in self._runs)
        if candidate.checkpoint is not None:  # how it will be decoded only the candidate's file tells
            references = {one.path for one in self._runs if one.backend == "torch"}
            itself = candidate.backend == "torch" and candidate.path == candidate.checkpoint
            missing += candidate.checkpoint not in references and not itself
        return self._boxes * missing

    @property
    def _boxes(self) -> int:
        return self._detections.count(self._dataset.pictures) if self._detections else len(self._dataset.persons)

    def judge(self, tell: Tell, candidate: Candidate) -> Judged:
        """Run a candidate, and its reference where that has not run before.

        Raises:
            DanetError: the candidate cannot be opened or run on this data.
        """
        from danet_evaluation.compare import difference, recorded_ap
        from danet_evaluation.paper import comparable_row

        spec, run = self._run(candidate, tell)
        reference, reason = self._reference(candidate, spec, tell)
        evaluation, figures = run.evaluation, run.evaluation.figures
        row = comparable_row(spec, evaluation)
        accuracy = Accuracy(
            dataset=evaluation.data,
            persons=evaluation.persons,
            boxes=self._detections.name if self._detections else "annotated",
            flip_test=self._flip_test,
            ap=figures.ap,
            ap50=figures.ap50,
            ap75=figures.ap75,
            ap_medium=_known(figures.ap_medium),
            ap_large=_known(figures.ap_large),
            ar=figures.ar,
            reference_ap=reference.evaluation.figures.ap if reference else None,
            recorded_ap=recorded_ap(spec, evaluation),
            paper_ap=row.ap if row and spec.preset in PAPER_PRESETS else None,  # the zoo's files are others
            distance_px=difference(run, reference).distance_px if reference else None,
        )
        return Judged(accuracy, reason)

    def _run(self, candidate: Candidate, tell: Tell) -> tuple[ModelSpec, Run]:
        from danet_evaluation.evaluate import run

        if candidate not in self._runs:
            with PoseEstimator(
                candidate.path,
                decoder=candidate.decoder,
                box_padding=candidate.box_padding,
                backend=candidate.backend,
                precision=candidate.hint,
                threads=candidate.threads,
                flip_test=self._flip_test,
                settings=Settings(),  # not what danet tune kept
            ) as estimator:
                # by what its decoder and padding come to: a checkpoint is also the reference of others
                spec = estimator.spec
                decoded = replace(candidate, decoder=spec.decoder.refinement, box_padding=spec.box_padding)
                if decoded in self._runs:
                    tell(self._boxes)  # which `persons_to_run` has promised
                else:
                    self._runs[decoded] = spec, run(estimator, self._dataset, self._detections, tell)
            self._runs[candidate] = self._runs[decoded]
        return self._runs[candidate]

    def _reference(self, candidate: Candidate, spec: ModelSpec, tell: Tell) -> tuple[Run | None, str | None]:
        """The reference's run, or why there is none."""
        from danet_evaluation.compare import require_same_crops

        reference = candidate.reference(spec)
        if reference is None:
            return None, None
        try:
            theirs, run = self._run(reference, tell)
            require_same_crops(spec, theirs)
        except DanetError as error:
            return None, str(error)
        return run, None


def _known(value: float) -> float | None:
    return None if isnan(value) else value


def _dataset(data: DataChoice, rendered_persons: int) -> KeypointDataset:
    from danet_evaluation.coco import load_split
    from danet_evaluation.rendered import rendered_dataset

    if data.folder is None:
        return rendered_dataset(data.limit or rendered_persons)
    dataset = load_split(data.folder, data.split)
    return dataset.first(data.limit) if data.limit else dataset


def _detections(data: DataChoice) -> Detections | None:
    if data.detections is None:
        return None
    from danet_evaluation.detections import load_detections

    return load_detections(data.detections)

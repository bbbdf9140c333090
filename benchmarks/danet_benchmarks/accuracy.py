"""The accuracy of every distinct model of a run, beside its checkpoint's own."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from danet_benchmarks.evaluator import Candidate, Evaluator, Judged
from danet_benchmarks.ledger import Ledger
from danet_benchmarks.plan import Plan
from danet_benchmarks.request import DataChoice
from danet_benchmarks.trial import Trial
from danet_benchmarks.watch import Watch
from danet_benchmarks.worker import Worker, WorkerError


class DataError(WorkerError):
    """The data set cannot be used, by any model."""


class AccuracyRun:
    """Judges models and enters them in a ledger, which is saved after each; a context manager.

    Raises:
        DataError: the data set cannot be loaded, or pycocotools is not installed.
    """

    def __init__(self, data: DataChoice, plan: Plan, ledger: Ledger, watch: Watch) -> None:
        self._data, self._plan = data, plan
        self._ledger, self._watch = ledger, watch
        self._worker = self._started()

    def run(self, trials: Sequence[Trial]) -> None:
        """Judge each model once, for the rows of all trials that run it; one that fails says so there."""
        threads = max((trial.case.threads for trial in trials), default=1)
        groups: dict[Candidate, list[Trial]] = {}
        for trial in trials:
            candidate = Candidate(trial.path, trial.case.backend, trial.hint, threads, trial.checkpoint)
            groups.setdefault(candidate, []).append(trial)
        for candidate, group in groups.items():
            try:
                self._enter(self._judge(candidate, group[0]), group)
            except WorkerError as error:
                for trial in group:
                    self._ledger.fail(trial, f"accuracy: {error}")
                self._worker.close()  # it may be dead
                self._worker = self._started()
            self._ledger.save()

    def _started(self) -> Worker[Evaluator]:
        self._watch.stage("accuracy: preparing the data", 1)
        try:
            return Worker(Evaluator, self._data, self._plan.rendered_persons, silence_s=self._plan.silence_s)
        except WorkerError as error:
            raise DataError(str(error)) from error

    def _judge(self, candidate: Candidate, trial: Trial) -> Judged:
        case = trial.case
        persons = self._worker.ask(Evaluator.persons_to_run, candidate)
        self._watch.stage(f"accuracy: {case.name} {case.backend} {case.precision}", persons)
        return self._worker.watch(self._watch.advance, Evaluator.judge, candidate)

    def _enter(self, judged: Judged, group: Sequence[Trial]) -> None:
        for trial in group:
            self._ledger.accuracy(trial, judged.accuracy)
        if judged.without_reference:
            self._ledger.note(f"{group[0].case.name}: accuracy without reference: {judged.without_reference}")

    def close(self) -> None:
        """End the process; closing twice does no harm."""
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""The search for the fastest settings of a model on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from danet.cpu import read_cpu
from danet.errors import BackendError, InputError
from danet.estimator import PoseEstimator
from danet.model_files import model_sha256
from danet.tuning import candidates
from danet.tuning.agreement import MOST_MOVED, find_keypoints, moved_share, render_sample
from danet.tuning.contenders import Load, Timing, Use, infer_seconds, opencv_threads, render_load, stream_seconds
from danet.tuning.record import LoadFigure, PrecisionFigure, Tuning
from danet.tuning.results import Outcome, Row, row_of
from danet.tuning.rounds import measure_rounds, simplest_of_the_fastest
from danet.tuning.settings import Settings
from danet.tuning.situation import backend_of, read_situation

TUNABLE = ("openvino", "onnxruntime", "tflite")
"""Backends of deployed files; torch has one number of threads for the whole process."""


@dataclass(frozen=True)
class Plan:
    """What the settings are to be the fastest for, and how long to look."""

    persons: tuple[int, ...] = (1, 8)
    """Persons to a frame; each of these numbers weighs the same."""
    seconds: float = 60.0
    threads: tuple[int, ...] = ()
    """Numbers of threads to try, the first in place of the default; empty: all, half of the cores, ..."""
    most_moved: float = MOST_MOVED
    """Largest share of keypoints that the chosen arithmetic may move."""


class Watch(Protocol):
    """Whoever looks on."""

    def stage(self, name: str) -> None:
        """A part begins."""
        ...

    def spent(self, seconds: float) -> None:
        """So much more of the time is used."""
        ...


@dataclass(frozen=True)
class Stage:
    """A part of the search."""

    name: str
    uses: tuple[Use, ...]
    """That are timed."""
    share: int
    """Of the time, in parts of those of this and the later stages."""


ARITHMETIC = Stage("infer: arithmetic and threads", (infer_seconds,), 3)
BATCHES = Stage("infer: batch size", (infer_seconds,), 2)
STREAMS = Stage("stream: calls side by side", (stream_seconds,), 3)
CHECK = Stage("check: default and choice, infer then stream", (infer_seconds, stream_seconds), 3)
STAGES = (ARITHMETIC, BATCHES, STREAMS, CHECK)


class Search:
    """One search; `run` does it.

    Args:
        path: the model file.
        backend: by the file's suffix if not given.
        plan: what to look for.
        watch: told of the progress.

    Raises:
        InputError: a file that no backend for deployment runs.
    """

    def __init__(self, path: Path, backend: str | None, plan: Plan, watch: Watch) -> None:
        name = backend_of(path, backend)
        if name not in TUNABLE:
            raise InputError(
                f"{path}: run by {name or 'no backend'}, danet tune measures what {', '.join(TUNABLE)} run; "
                "danet convert makes such a file from a checkpoint"
            )
        self._path, self._backend, self._plan, self._watch = path, name, plan, watch
        self._cores = read_cpu().cores
        self._rows: list[Row] = []
        self._loads: tuple[Load, ...] = ()
        self._moved: dict[str, float] = {}
        self._last = self._deadline = 0.0

    def run(self) -> Outcome:
        """Measure, and choose.

        Raises:
            ModelFileError, ModelSpecError, MissingExtraError, BackendError: the model cannot be run.
        """
        plan = self._plan
        threads = plan.threads or candidates.thread_choices(self._cores)
        tried = candidates.arithmetic(threads)
        default = tried[0]
        with opencv_threads():
            self._begin()
            chosen = self._measure(ARITHMETIC, tried)
            chosen = self._measure(BATCHES, candidates.batches(chosen, plan.persons))
            chosen = self._measure(STREAMS, candidates.streams(chosen, plan.persons, self._cores))
            chosen = self._measure(CHECK, [default] if chosen == default else [default, chosen])
        return Outcome(self._tuning(chosen), tuple(self._rows))

    def _begin(self) -> None:
        """Open the model, so that its errors come before any work, and render the frames."""
        self._last = time.perf_counter()
        self._deadline = self._last + self._plan.seconds
        self._watch.stage("persons to measure on")
        with PoseEstimator(self._path, backend=self._backend, settings=Settings()) as estimator:
            self._moved[estimator.precision] = 0.0
        self._sha256 = model_sha256(self._path)
        self._loads = tuple(render_load(persons) for persons in self._plan.persons)
        self._tell()

    def _tell(self) -> None:
        now = time.perf_counter()
        self._watch.spent(now - self._last)
        self._last = now

    def _measure(self, stage: Stage, tried: Sequence[Settings]) -> Settings:
        """The simplest of the fastest; what is tried begins with the simplest."""
        self._watch.stage(stage.name)
        with ExitStack() as opened:
            estimators = self._open(tried, opened)
            if len(estimators) == 1 and stage is not CHECK:
                return estimators[0].settings
            self._compare_keypoints(estimators)
            contenders = []
            for one in estimators:
                contenders.append(Timing(one, stage.uses, self._loads, self._cores))
                self._tell()
            series = measure_rounds(contenders, self._seconds(stage), lambda _: self._tell())
        moved = [self._moved[one.precision] for one in estimators]
        best = simplest_of_the_fastest(series, [share <= self._plan.most_moved for share in moved])
        for index, (one, times, share) in enumerate(zip(estimators, series, moved, strict=True)):
            self._rows.append(row_of(stage.name, one.settings, one.precision, times, series[0], share, index == best))
        return estimators[best].settings

    def _open(self, tried: Sequence[Settings], opened: ExitStack) -> list[PoseEstimator]:
        """Estimators that differ; what the backend or the file does not allow is left out."""
        estimators: list[PoseEstimator] = []
        for settings in tried:
            try:
                estimator = PoseEstimator(self._path, backend=self._backend, settings=settings)
            except BackendError:
                if settings is tried[0]:
                    raise
                continue
            opened.enter_context(estimator)
            if estimator.settings not in [one.settings for one in estimators]:
                estimators.append(estimator)
        return estimators

    def _seconds(self, stage: Stage) -> float:
        later = STAGES[STAGES.index(stage) :]
        return (self._deadline - time.perf_counter()) * stage.share / sum(one.share for one in later)

    def _compare_keypoints(self, estimators: Sequence[PoseEstimator]) -> None:
        """Find out how many keypoints each arithmetic moves that is new; the first estimator's is the default."""
        new = {one.precision: one for one in estimators if one.precision not in self._moved}
        if new:
            spec = estimators[0].spec
            sample = render_sample(spec)
            reference = find_keypoints(estimators[0], sample)
            for precision, one in new.items():
                self._moved[precision] = moved_share(reference, find_keypoints(one, sample), sample, spec.stride)
                self._tell()

    def _tuning(self, chosen: Settings) -> Tuning:
        check = [row for row in self._rows if row.stage == CHECK.name]
        (picked,) = [row for row in check if row.chosen]
        cases = [(use, persons) for use in ("infer", "stream") for persons in self._plan.persons]
        return Tuning(
            situation=read_situation(self._backend),
            model_sha256=self._sha256,
            settings=chosen,
            precision=picked.precision,
            precisions=self._precisions(),
            loads=tuple(
                LoadFigure(use, persons, default, tuned)
                for (use, persons), default, tuned in zip(
                    cases, check[0].milliseconds, picked.milliseconds, strict=True
                )
            ),
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _precisions(self) -> tuple[PrecisionFigure, ...]:
        """The arithmetic of the first stage, at its first row's number of threads."""
        rows = [row for row in self._rows if row.stage == ARITHMETIC.name]
        if not rows:  # there was nothing to choose from
            return tuple(PrecisionFigure(name, 1.0, moved, True) for name, moved in self._moved.items())
        return tuple(
            PrecisionFigure(row.precision, row.speed, row.moved, row.moved <= self._plan.most_moved)
            for row in rows
            if row.settings.threads == rows[0].settings.threads
        )

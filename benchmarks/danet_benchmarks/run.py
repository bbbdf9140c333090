"""A whole benchmark run: machine, models, speed, accuracy; what it finds goes into a ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

from danet.cpu import read_cpu
from danet_benchmarks.accuracy import AccuracyRun, DataError
from danet_benchmarks.cases import distinct, trials_of
from danet_benchmarks.ledger import Ledger
from danet_benchmarks.memory import machine_memory_gib
from danet_benchmarks.models import (
    Model,
    checkpoint_of,
    checkpoints_at_hand,
    embedded_default,
    foreign_model,
    given_model,
    rival_model,
)
from danet_benchmarks.noise import NOISY, FixedWork
from danet_benchmarks.peaks import measure_peaks
from danet_benchmarks.plan import FRAME_SIZE
from danet_benchmarks.preparation import Preparation
from danet_benchmarks.request import Request
from danet_benchmarks.scenes import render_scenes
from danet_benchmarks.speed import SpeedRun
from danet_benchmarks.trial import Trial
from danet_benchmarks.watch import Watch
from danet_benchmarks.worker import WorkerError

MEMORY_SHARE = 0.5
"""Of the machine's memory that open cases may take together."""


def run_benchmark(request: Request, ledger: Ledger, watch: Watch) -> None:
    """Measure what is asked for. What fails says so in its row or in a note, and the rest goes on."""
    trials = _trials(request, ledger, watch)
    ledger.enter(trials)
    ledger.save()
    if "speed" in request.parts:
        _measure_speed([trial for trial in trials if not ledger.failed(trial)], request, ledger, watch)
    if "accuracy" in request.parts:
        _measure_accuracy([trial for trial in trials if not ledger.failed(trial)], request, ledger, watch)


def _trials(request: Request, ledger: Ledger, watch: Watch) -> tuple[Trial, ...]:
    trials: list[Trial] = []
    checkpoints = checkpoints_at_hand(request.checkpoints)
    watch.stage("reading models", 1)
    with Preparation(request.exported) as preparation:
        models = _asked(request, preparation, ledger)
        watch.stage("reading models", len(models))
        for model in models:
            watch.say(f"reading {model.name}")
            known = _known(model, checkpoints, preparation)
            trials += trials_of(known, request.grid, preparation)
            watch.advance(1)
    for path in sorted(set(request.checkpoints) - {trial.checkpoint for trial in trials}):
        ledger.note(f"{path}: no model states that it was made from this checkpoint (source_sha256); not used")
    return distinct(trials)


def _asked(request: Request, preparation: Preparation, ledger: Ledger) -> list[Model]:
    if not (request.models or request.foreign or request.rivals is not None):
        return [embedded_default()]
    models = [given_model(text) for text in request.models]
    try:
        names = preparation.rival_names() if request.rivals == () else request.rivals or ()
    except WorkerError as error:
        ledger.note(f"no rivals: {error}")
        names = ()
    return models + [foreign_model(path) for path in request.foreign] + [rival_model(name) for name in names]


def _known(model: Model, checkpoints: Sequence[Path], preparation: Preparation) -> Model:
    """The model with its facts and checkpoint; without, where it cannot be read, which its trials will say."""
    if model.kind != "danet":
        return model  # its file is yet to be made
    try:
        facts = preparation.facts(model.path)
    except WorkerError:
        return model
    return replace(model, facts=facts, checkpoint=checkpoint_of(model.path, facts, checkpoints))


def _measure_speed(trials: Sequence[Trial], request: Request, ledger: Ledger, watch: Watch) -> None:
    if not trials:
        return
    threads = sorted({trial.case.threads for trial in trials})
    watch.stage("measuring the machine's peak", 1)
    peaks = measure_peaks(threads, request.plan.peak_s)
    ledger.machine(peaks, 0.0)
    watch.stage("drawing frames", 1)
    scenes = render_scenes(request.frame_persons, request.plan.scenes, FRAME_SIZE)
    work = FixedWork(read_cpu().cores)
    memory_mib = machine_memory_gib() * 1024 * MEMORY_SHARE or inf
    SpeedRun(request.plan, scenes, ledger, work, peaks, memory_mib, watch).run(trials)
    if work.spread > NOISY:
        ledger.note(
            f"the machine was noisy: the same work took {work.spread:.0%} longer at times (high - low over the "
            "median); differences smaller than a row's spread mean nothing"
        )


def _measure_accuracy(trials: Sequence[Trial], request: Request, ledger: Ledger, watch: Watch) -> None:
    judged = [trial for trial in trials if trial.case.kind != "rival"]  # their weights are random
    if not judged:
        return
    try:
        with AccuracyRun(request.data, request.plan, ledger, watch) as accuracy:
            accuracy.run(judged)
    except DataError as error:
        ledger.note(f"no accuracy: {error}")
        ledger.save()

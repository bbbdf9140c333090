"""From models and a grid of settings to trials; what cannot be tried says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from danet.errors import DanetError
from danet.model_spec import Precision
from danet_benchmarks.file_facts import FileFacts
from danet_benchmarks.models import Model, paper_figures
from danet_benchmarks.preparation import Preparation
from danet_benchmarks.request import Grid
from danet_benchmarks.results import UNKNOWN, Case
from danet_benchmarks.trial import Trial


def trials_of(model: Model, grid: Grid, preparation: Preparation) -> Iterator[Trial]:
    """A trial for each backend x precision x batch x threads x streams."""
    for backend in grid.backends or model.backends:
        try:
            path = model.file_for(backend, preparation)
            facts = None if backend == "null" else preparation.facts(path)
        except DanetError as error:
            yield _failed(model, backend, grid, str(error))
            continue
        for hint in grid.hints or _offered(model, backend):
            yield from _of_file(model, backend, path, facts, hint, grid)


def distinct(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Each trial once; those whose rows would look the same are told apart by the folders of their files.

    Where the files' own names differ, which rows and plots do not show, these do, in all rows of such files.
    """
    once = tuple(dict.fromkeys(trials))
    found = once
    for depth in range(1, max((len(trial.path.resolve().parts) for trial in once), default=0)):
        alike = _alike([trial.case for trial in found], once)
        if not alike:
            break
        found = tuple(
            _with_folder(whole, depth) if named.case in alike else named
            for whole, named in zip(once, found, strict=True)
        )
    shown = Counter(replace(trial.case, file="") for trial in found)
    unclear = {one.path for one in found if shown[replace(one.case, file="")] > 1}
    return tuple(_with_file(one) if one.path in unclear else one for one in found)


def _alike(cases: Sequence[Case], trials: Sequence[Trial]) -> set[Case]:
    """Cases that stand for more than one trial, or that would if a file of their name could be read."""
    times = Counter(cases)
    unread = {_place(case) for case in cases if case.precision == UNKNOWN}
    files = Counter(place for place, _ in {(_place(case), one.path) for case, one in zip(cases, trials, strict=True)})
    return {case for case in cases if times[case] > 1 or (_place(case) in unread and files[_place(case)] > 1)}


def _place(case: Case) -> tuple[str, str, str]:
    return case.file, case.kind, case.backend


def _with_folder(trial: Trial, depth: int) -> Trial:
    folder = "/".join(trial.path.resolve().parts[:-1][-depth:])
    case = replace(trial.case, name=f"{trial.case.name} ({folder})", file=f"{folder}/{trial.path.name}")
    return replace(trial, case=case)


def _with_file(trial: Trial) -> Trial:
    return replace(trial, case=replace(trial.case, name=f"{trial.case.name} ({trial.case.file})"))


def _failed(model: Model, backend: str, grid: Grid, reason: str) -> Trial:
    """The row of a model that no case can be made of."""
    name = model.name
    case = Case(name, model.kind, model.path.name, backend, UNKNOWN, grid.batches[0], grid.threads[0])
    return Trial(case, model.path, facts=model.facts, paper=paper_figures(model.facts), error=reason)


def _offered(model: Model, backend: str) -> tuple[Precision, ...]:
    """Only OpenVINO computes in another arithmetic than the file's."""
    return model.hints if backend == "openvino" else model.hints[:1]


def _of_file(
    model: Model, backend: str, path: Path, facts: FileFacts | None, hint: Precision, grid: Grid
) -> Iterator[Trial]:
    precision = facts.spec.precision.upper() if facts else "none"
    if hint != "fp32":
        precision += f"+{hint.upper()}"
    name = facts.spec.name if facts else model.name
    for batch, threads, streams in product(grid.batches, grid.threads, grid.streams):
        case = Case(name, model.kind, path.name, backend, precision, batch, threads, streams)
        yield Trial(case, path, None if hint == "fp32" else hint, facts, model.checkpoint, paper_figures(facts))

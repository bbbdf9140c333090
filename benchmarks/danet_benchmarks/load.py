"""Many threads on several estimators for minutes: whether an answer is wrong, lost or late, or memory leaks.

    python -m danet_benchmarks.load MODEL [MODEL ...] [--minutes 10] [--threads 16] [--estimators 4] [--json FILE]

Each client thread takes an estimator and a frame with 0 to 12 boxes by chance, and compares the answer, bit by bit,
with the one that the same estimator gave alone at the start. One client puts a new estimator in the place of an old one
and closes that, in the midst of the others' calls; one makes mistakes on purpose; two use `stream`. The exit status is
1 after a wrong answer, an error that nobody provoked, a client that waited `STUCK_S` for an answer, or memory of more
than `LEFT_MIB` that is not freed when all estimators are closed.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from danet.estimator import PoseEstimator
from danet.files import write_beside
from danet_benchmarks.heap import allocated_mib
from danet_benchmarks.load_clients import Client, Slot, make_jobs, start_clients
from danet_benchmarks.process_sample import ProcessSample, sample

STUCK_S = 60.0
"""Longest time that an answer may take."""
LEFT_MIB = 10.0
"""What may stay allocated after the last estimator is closed, more than after each was opened and closed once: the
libraries keep some 50 MiB for good. Resident memory is only told."""
EVERY_S = 1.0
"""Between two looks at the process."""


@dataclass(frozen=True)
class EstimatorFigures:
    """What one estimator was asked for by `infer`."""

    name: str
    calls: int
    p50_ms: float
    p99_ms: float
    largest_ms: float


@dataclass(frozen=True)
class LoadReport:
    """A run under load."""

    seconds: float
    clients: int
    calls: int
    """Frames answered, by `infer` and `stream`."""
    persons: int
    reopened: int
    expected_errors: int
    unexpected_errors: tuple[str, ...]
    wrong_results: int
    stuck: tuple[int, ...]
    """Clients that waited longer than `STUCK_S` for an answer; the run ends with the first."""
    estimators: tuple[EstimatorFigures, ...]
    client_calls: tuple[int, int]
    """Fewest and most calls of a client that does nothing but `infer`."""
    client_p50_ms: tuple[float, float]
    """Least and greatest median latency of such a client."""
    start: ProcessSample
    middle: ProcessSample
    end: ProcessSample
    rss_mib: tuple[float, ...]
    """Median of each tenth of the run, one after the other."""
    left_mib: float | None
    """Allocated when all are closed, more than after each model was opened and closed once; None: it cannot be told."""

    def complaints(self) -> list[str]:
        """What went wrong, in words; empty if nothing did."""
        said = [f"unexpected error: {text}" for text in self.unexpected_errors]
        if self.wrong_results:
            said.append(f"{self.wrong_results} wrong results")
        if self.stuck:
            said.append(f"clients {list(self.stuck)} had no answer for {STUCK_S:.0f} s")
        if self.left_mib is not None and self.left_mib > LEFT_MIB:
            said.append(f"{self.left_mib:.1f} MiB were not freed")
        return said


def load(models: Sequence[str], backend: str | None, threads: int, estimators: int, seconds: float) -> LoadReport:
    """Keep `threads` clients at work on `estimators` estimators, of the models in turn, for so long."""
    jobs = make_jobs()
    for model in set(models):
        with PoseEstimator(model, backend=backend) as once:
            once.warm_up()
    gc.collect()
    before = allocated_mib()
    slots = [Slot(models[index % len(models)], backend, jobs) for index in range(estimators)]
    process, start = psutil.Process(), time.monotonic()
    samples = [sample(process)]
    clients = start_clients(threads, slots, jobs)
    stuck: tuple[int, ...] = ()
    while time.monotonic() - start < seconds and not stuck:
        time.sleep(min(EVERY_S, seconds / 10))
        samples.append(sample(process))
        stuck = _stuck(clients)  # kept: one that ends later than allowed was stuck all the same
    for client in clients:
        client.stopping.set()
    deadline = time.monotonic() + STUCK_S
    for client in clients:
        client.thread.join(max(0.0, deadline - time.monotonic()))
    hung = {client.number for client in clients if client.thread.is_alive()}
    stuck = tuple(sorted(hung.union(stuck)))
    seconds = time.monotonic() - start
    left = None
    if not hung:
        for slot in slots:
            slot.estimator.close()
        gc.collect()
        left = _difference(allocated_mib(), before)
    return _report(seconds, clients, slots, samples, stuck, left)


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _stuck(clients: Sequence[Client]) -> tuple[int, ...]:
    now = time.monotonic()
    waits = {client.number: now - since for client in clients if (since := client.since) is not None}
    return tuple(number for number, waited in waits.items() if waited > STUCK_S)


def _report(
    seconds: float,
    clients: Sequence[Client],
    slots: Sequence[Slot],
    samples: list[ProcessSample],
    stuck: tuple[int, ...],
    left_mib: float | None,
) -> LoadReport:
    plain = [client for client in clients if client.kind == "infer" and client.latencies]
    medians = [1000 * float(np.median([taken for _, taken in client.latencies])) for client in plain]
    return LoadReport(
        seconds=seconds,
        clients=len(clients),
        calls=sum(client.calls for client in clients),
        persons=sum(client.persons for client in clients),
        reopened=sum(client.reopened for client in clients),
        expected_errors=sum(client.expected_errors for client in clients),
        unexpected_errors=tuple(text for client in clients for text in client.unexpected_errors),
        wrong_results=sum(client.wrong for client in clients),
        stuck=stuck,
        estimators=tuple(_figures(index, slot, clients) for index, slot in enumerate(slots)),
        client_calls=(min((one.calls for one in plain), default=0), max((one.calls for one in plain), default=0)),
        client_p50_ms=(min(medians, default=0.0), max(medians, default=0.0)),
        start=samples[0],
        middle=samples[len(samples) // 2],
        end=samples[-1],
        rss_mib=tuple(
            float(np.median(part)) for part in np.array_split([one.rss_mib for one in samples], min(10, len(samples)))
        ),
        left_mib=left_mib,
    )


def _figures(index: int, slot: Slot, clients: Sequence[Client]) -> EstimatorFigures:
    taken = [seconds for client in clients for place, seconds in client.latencies if place == index]
    p50, p99, most = 1000 * np.percentile(taken or [0.0], (50, 99, 100))
    return EstimatorFigures(slot.name, len(taken), float(p50), float(p99), float(most))


def _print(report: LoadReport, console: Console) -> None:
    table = Table("estimator", "calls", "p50 ms", "p99 ms", "largest ms")
    for one in report.estimators:
        table.add_row(one.name, str(one.calls), f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}", f"{one.largest_ms:.1f}")
    console.print(table)
    for name in ("start", "middle", "end"):
        at = getattr(report, name)
        console.print(f"{name}: RSS {at.rss_mib:.1f} MiB, {at.threads} threads, {at.handles} handles")
    console.print(f"RSS by tenths of the run, MiB: {' '.join(f'{mib:.0f}' for mib in report.rss_mib)}")
    console.print(
        f"{report.calls} calls, {report.persons} persons in {report.seconds:.0f} s by {report.clients} clients; "
        f"{report.reopened} times reopened, {report.expected_errors} errors as expected, "
        f"{len(report.unexpected_errors)} unexpected, {report.wrong_results} wrong results"
    )
    calls, medians = report.client_calls, report.client_p50_ms
    console.print(
        f"clients of infer alone: {calls[0]} to {calls[1]} calls, p50 {medians[0]:.1f} to {medians[1]:.1f} ms"
        + ("" if report.left_mib is None else f"; {report.left_mib:.1f} MiB not freed after closing")
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and tell whether all went well."""
    parser = argparse.ArgumentParser(description="Many threads on several estimators, each answer compared.")
    parser.add_argument("models", nargs="+", metavar="MODEL", help="model files or embedded names, taken in turn")
    parser.add_argument("--backend")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=16, help="client threads, at least 5 (default 16)")
    parser.add_argument("--estimators", type=int, help="as many as models if not given")
    parser.add_argument("--json", metavar="FILE", type=Path)
    options = parser.parse_args(arguments)
    if options.threads < 5:
        parser.error(f"--threads {options.threads}, expected 5 or more")
    count = options.estimators or len(options.models)
    report = load(options.models, options.backend, options.threads, count, 60 * options.minutes)
    console = Console()
    _print(report, console)
    said = report.complaints()
    for line in said or ["all answers right, nothing lost, stuck or leaking"]:
        console.print(line, markup=False)
    if options.json:
        with write_beside(options.json) as temporary:
            temporary.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())

"""The speed of all trials, in interleaved rounds: A B C A B C ..., so that drift hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

from danet_benchmarks.case_run import CaseRun
from danet_benchmarks.ledger import Ledger
from danet_benchmarks.measurements import Least, Scenes
from danet_benchmarks.noise import FixedWork
from danet_benchmarks.plan import Plan
from danet_benchmarks.results import Peak
from danet_benchmarks.trial import Trial
from danet_benchmarks.watch import Watch
from danet_benchmarks.worker import WorkerError

T = TypeVar("T")
OpenCase = Callable[[Trial, Plan], CaseRun]


def interleaved(rounds: int, items: Sequence[T]) -> Iterator[tuple[int, T]]:
    """Every item once a round, in the same order: (0, A), (0, B), (1, A), (1, B), ..."""
    for number in range(rounds):
        for item in items:
            yield number, item


@dataclass(frozen=True)
class SpeedRun:
    """Measures trials and enters them in a ledger, which is saved after each round of each case.

    All cases are open at once, each in its process. Where they need more memory than is allowed they
    are measured in groups, one after the other.
    """

    plan: Plan
    scenes: tuple[Scenes, ...]
    ledger: Ledger
    work: FixedWork
    """Timed between the rounds."""
    peaks: tuple[Peak, ...]
    memory_mib: float
    """Of all open cases together; one more may exceed it."""
    watch: Watch
    open_case: OpenCase = CaseRun

    def run(self, trials: Sequence[Trial]) -> None:
        """Measure every trial; one that fails says so in its row."""
        self.watch.stage("speed", len(trials) * (1 + self.plan.rounds))
        waiting = list(trials)
        groups = 0
        while waiting:
            with ExitStack() as opened:
                group = self._open_group(waiting, opened)
                self._run_rounds(group)
            groups += bool(group)
        if groups > 1:
            self.ledger.note(
                f"measured in {groups} groups, because all cases together need more than "
                f"{self.memory_mib / 1024:.1f} GiB; rows of different groups did not share their rounds"
            )

    def _open_group(self, waiting: list[Trial], opened: ExitStack) -> list[CaseRun]:
        """Open trials off the front of `waiting` until the memory is used up; one at least."""
        group: list[CaseRun] = []
        while waiting and (not group or sum(run.memory_mib for run in group) < self.memory_mib):
            trial = waiting.pop(0)
            self.watch.say(f"opening {trial.case.label}")
            try:
                run = opened.enter_context(self.open_case(trial, self.plan))
                run.warm_up(self.scenes)
            except WorkerError as error:
                self.ledger.fail(trial, str(error))
                self.ledger.save()
            else:
                group.append(run)
            self.watch.advance(1)
        return group

    def _run_rounds(self, group: Sequence[CaseRun]) -> None:
        failed: set[Trial] = set()
        for number, run in interleaved(self.plan.rounds, group):
            if run is group[0]:
                self.work.read()
            if run.trial not in failed and not self._measure(run, number):
                failed.add(run.trial)
        if group:
            self.work.read()
            self.ledger.machine(self.peaks, self.work.spread, self.work.median_ms)
            self.ledger.save()

    def _measure(self, run: CaseRun, number: int) -> bool:
        """One round of one case; False where it failed."""
        name = f"round {number + 1} of {self.plan.rounds}"
        self.watch.say(f"{name}: {run.trial.case.label}")
        try:
            run.measure(Least(self.plan.seconds, self.plan.persons_a_round))
        except WorkerError as error:
            self.ledger.fail(run.trial, f"{name}: {error}")
            return False
        else:
            self.ledger.speed(run.trial, run.speed(self.peaks))
            return True
        finally:
            self.ledger.machine(self.peaks, self.work.spread, self.work.median_ms)
            self.ledger.save()
            self.watch.advance(1)

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from danet_benchmarks.case_run import CaseRun
from danet_benchmarks.ledger import Ledger
from danet_benchmarks.measurements import FrameRound, Least, Round, Scenes
from danet_benchmarks.noise import FixedWork
from danet_benchmarks.plan import Plan
from danet_benchmarks.results import Report, Stages
from danet_benchmarks.scenes import render_scenes
from danet_benchmarks.speed import SpeedRun, interleaved
from danet_benchmarks.trial import Trial
from danet_benchmarks.worker import WorkerError

from .conftest import TINY, Watcher

Make = Callable[..., Trial]


class Work(FixedWork):
    """Takes its readings from a list of events instead of the clock."""

    def __init__(self, events: list[str]) -> None:
        self.readings = []
        self._events = events

    def read(self) -> None:
        self._events.append("work")
        self.readings.append(1.0 + 0.1 * len(self.readings))


class Fake(CaseRun):
    """Measures nothing; fails where its precision says so."""

    events: list[str]

    def __init__(self, trial: Trial, plan: Plan) -> None:
        self.trial, self.rounds, self.memory_mib = trial, [], 100.0
        self.name = trial.case.precision
        if self.name == "unreadable":
            raise WorkerError("cannot be read")
        self.events.append(f"open {self.name}")

    def warm_up(self, scenes: Any) -> None:
        pass

    def measure(self, least: Least) -> None:
        self.events.append(self.name)
        if self.name == "weak" and len(self.rounds) == 1:
            raise WorkerError("gave up")
        self.rounds.append(Round(10.0 + len(self.rounds), (FrameRound(1, 5.0, (1.0,)),), Stages(1, 1, 1), 0.1))

    def speed(self, peaks: Any) -> Any:
        return tuple(one.network_pps for one in self.rounds)

    def __exit__(self, *error: object) -> None:
        self.events.append(f"close {self.name}")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(Fake, "events", found, raising=False)
    return found


def _run(trials: list[Trial], ledger: Ledger, events: list[str], memory_mib: float = inf) -> Watcher:
    watcher = Watcher()
    ledger.enter(trials)
    SpeedRun(TINY, (), ledger, Work(events), (), memory_mib, watcher, Fake).run(trials)
    return watcher


def test_interleaved() -> None:
    assert list(interleaved(2, "ABC")) == [(0, "A"), (0, "B"), (0, "C"), (1, "A"), (1, "B"), (1, "C")]


def test_rounds_go_around(null_trial: Make, ledger: Ledger, saved: list[Report], events: list[str]) -> None:
    trials = [null_trial(name) for name in "ABC"]
    watcher = _run(trials, ledger, events)
    assert events[:3] == ["open A", "open B", "open C"]
    assert events[3:-3] == ["work", "A", "B", "C", "work", "A", "B", "C", "work"]
    assert events[-3:] == ["close C", "close B", "close A"]
    report = ledger.report(complete=True)
    assert [row.speed for row in report.rows] == [(10.0, 11.0)] * 3
    assert report.machine.noise == pytest.approx(0.2 / 1.1)
    assert watcher.steps == 3 + 6
    # each round of each case was kept at once
    assert [sum(len(row.speed or ()) for row in one.rows) for one in saved[:6]] == [1, 2, 3, 4, 5, 6]
    assert not any(one.complete for one in saved)


def test_what_fails_costs_its_own_row_only(null_trial: Make, ledger: Ledger, events: list[str]) -> None:
    trials = [null_trial(name) for name in ("unreadable", "weak", "strong")]
    watcher = _run(trials, ledger, events)
    rows = ledger.report(complete=True).rows
    assert [row.error for row in rows] == ["cannot be read", "round 2 of 2: gave up", None]
    assert [row.speed for row in rows] == [None, (10.0,), (10.0, 11.0)]
    assert watcher.said[0] == "opening nobody null unreadable b2 t1"


def test_all_fail(null_trial: Make, ledger: Ledger, events: list[str]) -> None:
    _run([null_trial("unreadable")], ledger, events)
    assert events == []


def test_groups_where_memory_is_short(null_trial: Make, ledger: Ledger, events: list[str]) -> None:
    _run([null_trial(name) for name in "ABC"], ledger, events, memory_mib=150)
    assert [event for event in events if "e" in event] == [
        *("open A", "open B", "close B", "close A"),
        *("open C", "close C"),
    ]
    (note,) = ledger.report(complete=True).notes
    assert note.startswith("measured in 2 groups")


def test_killed_in_the_middle(null_trial: Make, ledger: Ledger, small_products: None, watcher: Watcher) -> None:
    """Real processes; one is killed between its rounds."""
    trials = [null_trial("doomed"), null_trial("spared")]

    class Doomed(CaseRun):
        def measure(self, least: Least) -> None:
            if self.rounds and self.trial is trials[0]:
                os.kill(self.process_id, signal.SIGKILL)
            super().measure(least)

    scenes: tuple[Scenes, ...] = render_scenes((1,), 1, (64, 96))
    ledger.enter(trials)
    SpeedRun(TINY, scenes, ledger, FixedWork(1), (), inf, watcher, Doomed).run(trials)
    doomed, spared = ledger.report(complete=True).rows
    assert doomed.error == "round 2 of 2: its process was ended by SIGKILL (out of memory?)"
    assert spared.error is None
    assert doomed.speed is not None
    assert spared.speed is not None
    assert [len(row.speed.network_pps.rounds) for row in (doomed, spared) if row.speed] == [1, 2]
    assert spared.speed.peak_rss_mib > 10

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from danet_benchmarks import peaks
from danet_benchmarks.ledger import Ledger
from danet_benchmarks.plan import Plan
from danet_benchmarks.results import Case, Report
from danet_benchmarks.trial import Trial

TINY = Plan(2, 0.0, 0, 1, 0.0, 2, (2,), 60.0)
"""Every measurement once a round."""


class Watcher:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.said: list[str] = []
        self.steps = 0

    def stage(self, name: str, steps: int) -> None:
        self.stages.append(name)

    def say(self, text: str) -> None:
        self.said.append(text)

    def advance(self, steps: int) -> None:
        self.steps += steps


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def saved() -> list[Report]:
    """Reports that the ledger saved, the newest last."""
    return []


@pytest.fixture
def ledger(saved: list[Report]) -> Ledger:
    return Ledger("danet benchmark", TINY.rounds, (720, 1280), saved.append)


@pytest.fixture
def null_trial() -> Callable[..., Trial]:
    """A trial of the null backend; `precision` tells two of them apart."""

    def make(precision: str = "none", **changes: int) -> Trial:
        case = Case("nobody", "danet", "nobody", "null", precision, **{"batch": 2, "threads": 1, **changes})
        return Trial(case, Path("nobody"))

    return make


@pytest.fixture
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrix products and convolutions that take no time."""
    monkeypatch.setattr(peaks, "SIDE", 64)
    monkeypatch.setattr(peaks, "_CELLS", (1, 8, 8))
    monkeypatch.setattr(peaks, "_CHANNELS", 32)

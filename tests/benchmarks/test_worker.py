from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from danet.errors import MissingExtraError
from danet_benchmarks.worker import Tell, Worker, WorkerError


class Adder:
    """What the tests ask."""

    def __init__(self, start: int) -> None:
        if start < 0:
            raise MissingExtraError("adding", "abacus", "beads")
        self.total = start

    def add(self, number: int) -> int:
        print("noise on stdout", flush=True)
        self.total += number
        return self.total

    def count(self, tell: Tell, number: int) -> str:
        for index in range(number):
            tell(index)
        return "counted"

    def fail(self) -> NoReturn:
        raise ValueError("two\nlines")

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self) -> None:
        os._exit(3)

    def sleep(self) -> None:
        time.sleep(60)

    def interrupted(self) -> bool:
        return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


Start = Callable[..., Worker[Adder]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Worker[Adder]] = []

    def make(silence_s: float = 60) -> Worker[Adder]:
        started.append(Worker(Adder, 1, silence_s=silence_s))
        return started[-1]

    yield make
    for worker in started:
        worker.close()


def test_questions_and_answers(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    worker = start()
    assert [worker.ask(Adder.add, 2), worker.ask(Adder.add, number=3)] == [3, 6]
    told: list[int] = []
    assert worker.watch(told.append, Adder.count, 3) == "counted"
    assert told == [0, 1, 2]
    with pytest.raises(WorkerError, match=r"^ValueError: two lines$"):
        worker.ask(Adder.fail)
    assert worker.ask(Adder.add, 1) == 7  # a failure is no death
    assert worker.ask(Adder.interrupted)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (Adder.die, r"ended by SIGKILL \(out of memory\?\)"),
        (Adder.leave, "ended with status 3"),
        (Adder.sleep, "no sign of life for 0 s"),
    ],
)
def test_death_and_silence(start: Start, method: Callable[[Adder], None], reason: str) -> None:
    worker = start()
    if method is Adder.sleep:
        worker.silence_s = 0.2
    with pytest.raises(WorkerError, match=reason):
        worker.ask(method)
    with pytest.raises(ProcessLookupError):
        os.kill(worker.process_id, 0)


def test_killed_between_questions(start: Start) -> None:
    worker = start()
    os.kill(worker.process_id, signal.SIGKILL)
    time.sleep(0.1)
    with pytest.raises(WorkerError, match="SIGKILL"):
        worker.ask(Adder.add, 1)


def test_an_object_that_cannot_be_made() -> None:
    with pytest.raises(WorkerError, match=r"^adding needs beads, .*danet-edge\[abacus\]'$"):
        Worker(Adder, -1, silence_s=60)

"""The clients of `danet_benchmarks.load`: threads that use estimators and compare each answer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.errors import BackendError, InputError
from danet.estimator import PoseEstimator
from danet.poses import Poses
from danet.scenes.scene import render_scene

REOPEN_EVERY_S = 5.0
KINDS = {0: "reopen", 1: "mistakes", 2: "stream", 3: "stream"}
"""What the clients of these numbers do beside or instead of `infer`."""
STREAMED = 6
"""Frames of a stream."""
MOST_PERSONS = 12


@dataclass(frozen=True)
class Job:
    """A frame (H, W, 3) uint8 BGR and boxes (N, 4) xyxy, pixels."""

    frame: NDArray[np.uint8]
    boxes: NDArray[np.float64]


def make_jobs(frames: int = 3) -> list[Job]:
    """Frames with 0, 1, ... `MOST_PERSONS` boxes in places by chance."""
    draw = np.random.default_rng(8)
    pictures = [np.asarray(render_scene(seed, (240, 320), persons=3).image) for seed in range(frames)]
    jobs = []
    for count in range(MOST_PERSONS + 1):
        corner = draw.uniform((-20, -20), (260, 160), (count, 2))
        jobs.append(Job(pictures[count % frames], np.hstack((corner, corner + draw.uniform(20, 160, (count, 2))))))
    return jobs


class Slot:
    """An estimator that is replaced now and then, and its answers to the jobs when it had them one by one."""

    def __init__(self, model: str, backend: str | None, jobs: Sequence[Job]) -> None:
        self._model, self._backend = model, backend
        self.estimator = self._open()
        self.answers = [self.estimator.infer(job.frame, job.boxes) for job in jobs]
        self.name = f"{self.estimator.spec.name} {model} ({self.estimator.precision})"

    def _open(self) -> PoseEstimator:
        return PoseEstimator(self._model, backend=self._backend)

    def reopen(self) -> None:
        """Put a new estimator here, ready for any number of persons, then close the old one, which others may use."""
        new = self._open()
        new.warm_up()
        old, self.estimator = self.estimator, new
        old.close()


def same(one: Poses, other: Poses) -> bool:
    """Whether two answers are equal, bit by bit."""
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("keypoints", "scores", "boxes"))


class Client:
    """A thread that asks until it is told to stop. Its counts are read when it has ended."""

    def __init__(self, number: int, slots: Sequence[Slot], jobs: Sequence[Job]) -> None:
        self.number = number
        self.kind = KINDS.get(number, "infer")
        self.calls = self.persons = self.wrong = self.reopened = self.expected_errors = 0
        self.unexpected_errors: list[str] = []
        self.latencies: list[tuple[int, float]] = []
        """Slot's index and seconds of each `infer`."""
        self.since: float | None = None
        """When the call began whose answer is waited for; None between calls and while a model is opened."""
        self.stopping = threading.Event()
        self._slots, self._jobs = slots, jobs
        self._random = random.Random(number)
        self._reopen_at = time.monotonic() + self._random.uniform(0, 1)
        self.thread = threading.Thread(target=self._work, name=f"load-client-{number}", daemon=True)

    def _work(self) -> None:
        while not self.stopping.is_set():
            index = self._random.randrange(len(self._slots))
            slot = self._slots[index]
            used = slot.estimator
            self.since = time.monotonic()
            try:
                self._once(index, slot, used)
            except BackendError as error:
                # closed by the client that reopens: told, and the next call takes the new one
                if slot.estimator is not used and "closed" in str(error):
                    self.expected_errors += 1
                else:
                    self._unexpected(error)
            except Exception as error:
                self._unexpected(error)
            self.since = None

    def _unexpected(self, error: Exception) -> None:
        if len(self.unexpected_errors) < 20:
            self.unexpected_errors.append(f"client {self.number}: {type(error).__name__}: {error}")

    def _once(self, index: int, slot: Slot, used: PoseEstimator) -> None:
        if self.kind == "reopen" and time.monotonic() >= self._reopen_at:
            self.since = None  # compiling under load may take longer than an answer
            slot.reopen()
            self.reopened += 1
            self._reopen_at = time.monotonic() + REOPEN_EVERY_S
        elif self.kind == "mistakes":
            self._mistake(used)
            self._infer(index, slot, used)
        elif self.kind == "stream":
            self._stream(slot, used)
        else:
            self._infer(index, slot, used)

    def _infer(self, index: int, slot: Slot, used: PoseEstimator) -> None:
        number = self._random.randrange(len(self._jobs))
        job, start = self._jobs[number], time.perf_counter()
        poses = used.infer(job.frame, job.boxes)
        self.latencies.append((index, time.perf_counter() - start))
        self._compare(poses, slot.answers[number])

    def _stream(self, slot: Slot, used: PoseEstimator) -> None:
        numbers = [self._random.randrange(len(self._jobs)) for _ in range(STREAMED)]
        frames = ((self._jobs[number].frame, self._jobs[number].boxes) for number in numbers)
        for number, poses in zip(numbers, used.stream(frames), strict=True):
            self._compare(poses, slot.answers[number])
            self.since = time.monotonic()

    def _compare(self, poses: Poses, answer: Poses) -> None:
        self.calls += 1
        self.persons += len(poses)
        self.wrong += not same(poses, answer)

    def _mistake(self, used: PoseEstimator) -> None:
        frame = self._jobs[0].frame
        wrong: tuple[Callable[[], Any], ...] = (
            lambda: used.infer(frame, [[np.nan, 0, 10, 10]]),
            lambda: used.infer(frame.astype(np.float32), [[0, 0, 10, 10]]),
        )
        try:
            self._random.choice(wrong)()
        except InputError:
            self.expected_errors += 1
        else:
            self.unexpected_errors.append("a wrong frame or box was taken")


def start_clients(count: int, slots: Sequence[Slot], jobs: Sequence[Job]) -> list[Client]:
    """Clients, at work at once."""
    clients = [Client(number, slots, jobs) for number in range(count)]
    for client in clients:
        client.thread.start()
    return clients

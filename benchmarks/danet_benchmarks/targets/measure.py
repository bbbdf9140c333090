"""The measurements behind the speed promises: interleaved rounds, and starts of fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.cache_folder import VARIABLE
from danet.tuning.rounds import median_interval
from danet_benchmarks.measurements import Scenes
from danet_benchmarks.noise import FixedWork
from danet_benchmarks.targets.contenders import Naive, Product
from danet_benchmarks.worker import Worker, WorkerError

SILENCE_S = 300.0
STARTS = 5
TAIL = "int8, 1 person"
"""What is measured whose slowest calls are promised, for a quiet machine."""
QUIET = 1.1
LEAST_QUIET = 5
"""Rounds."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Models:
    """The files that are compared."""

    int8: Path
    fp32: Path
    onnx: Path
    """Float, for ONNX Runtime."""


@dataclass(frozen=True)
class Measure:
    """Something that is timed in every round."""

    name: str
    contender: str
    persons: int
    ask: Callable[..., tuple[tuple[float, ...], ...]]
    network: str | None = None
    """What the times of the network alone are called, where `ask` gives them too."""


MEASURES = (
    Measure("int8", "int8", 8, Product.frame_and_network_seconds, "int8, network alone"),
    Measure("int8, 10 persons", "int8", 10, Product.frame_seconds),
    Measure(TAIL, "int8", 1, Product.frame_seconds),
    Measure("fp32", "fp32", 8, Product.frame_and_network_seconds, "fp32, network alone"),
    Measure("fp32, 1 person", "fp32", 1, Product.frame_seconds),
    Measure("onnxruntime, by hand", "naive", 8, Naive.frame_seconds),
    Measure("onnxruntime, by hand, 1 person", "naive", 1, Naive.frame_seconds),
    Measure("onnxruntime, danet", "onnx", 8, Product.frame_seconds),
    Measure("onnxruntime, danet, 1 person", "onnx", 1, Product.frame_seconds),
    Measure("int8, one thread", "one thread", 8, Product.frame_seconds),
    Measure("int8, two estimators of one thread", "pair", 8, Product.frame_seconds),
)
"""8 persons to a frame where nothing else is said."""


def persons_to_a_call() -> dict[str, int]:
    """By the name of what is timed."""
    found = {}
    for one in MEASURES:
        found[one.name] = one.persons * (2 if one.contender == "pair" else 1)
        if one.network is not None:
            found[one.network] = one.persons
    return found


@dataclass(frozen=True)
class Timed:
    """The rounds of all measures."""

    rounds: Mapping[str, tuple[tuple[float, ...], ...]]
    """Seconds of each call, by measure and round."""
    moved: float
    """Share of the keypoints that the app by hand finds more than a pixel from where danet does with the same file."""
    noise: float
    """Spread of a fixed piece of work within the rounds."""
    readings: tuple[float, ...] = ()
    """Seconds of that work before and after `TAIL` in each round, in turn."""

    def quiet_rounds(self) -> list[int] | None:
        """Rounds in which the fixed work took at most `QUIET` of its fastest around `TAIL`; None: too few were."""
        every = range(len(self.rounds[TAIL]))
        if len(self.readings) != 2 * len(every):
            return None
        most = QUIET * min(self.readings)
        quiet = [number for number in every if max(self.readings[2 * number : 2 * number + 2]) <= most]
        return quiet if len(quiet) >= LEAST_QUIET else None

    def ratios(self, slow: str, fast: str) -> NDArray[np.float64]:
        """How many times as long a call of `slow` takes as one of `fast`, by round: (rounds,) float64."""
        return self.means(slow) / self.means(fast)

    def means(self, name: str) -> NDArray[np.float64]:
        """Seconds of a call, by round: (rounds,) float64."""
        return np.array([np.mean(one) for one in self.rounds[name]])

    def median_ratios(self, one: str, other: str) -> NDArray[np.float64]:
        """The median call of `one` over that of `other`, by round: (rounds,) float64."""
        return np.array(
            [
                np.median(mine) / np.median(theirs)
                for mine, theirs in zip(self.rounds[one], self.rounds[other], strict=True)
            ]
        )

    def pooled(self, name: str, rounds: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Seconds of all calls of some rounds; None: of all."""
        chosen = range(len(self.rounds[name])) if rounds is None else rounds
        return np.concatenate([np.array(self.rounds[name][number]) for number in chosen])


def bounds(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """The median over rounds, and the interval that holds the true one with 95 %."""
    return (float(np.median(values)), *median_interval(values))


def time_rounds(models: Models, scenes: Sequence[Scenes], threads: int, rounds: int, seconds: float, say: Say) -> Timed:
    """Time all measures in turn, round after round.

    Raises:
        WorkerError: a contender could not be opened, or failed.
    """
    kinds: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "int8": (Product, (models.int8, threads)),
        "fp32": (Product, (models.fp32, threads)),
        "onnx": (Product, (models.onnx, threads)),
        "naive": (Naive, (models.onnx, threads)),
        "one thread": (Product, (models.int8, 1)),
        "pair": (Product, (models.int8, 1, 2)),
    }
    by_persons = {one.persons: one for one in scenes}
    with ExitStack() as opened:
        workers = {
            name: opened.enter_context(Worker(kind, *arguments, silence_s=SILENCE_S))
            for name, (kind, arguments) in kinds.items()
        }
        ours = workers["onnx"].ask(Product.keypoints, by_persons[8])
        theirs = workers["naive"].ask(Naive.keypoints, by_persons[8])
        moved = float(np.mean(np.linalg.norm(ours - theirs, axis=-1) > 1))
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in persons_to_a_call()}
        work = FixedWork(threads)
        for number in range(1 + rounds):  # the first is a warm-up
            for one in MEASURES:
                say(f"round {number} of {rounds}: {one.name}")
                if one.name == TAIL:
                    work.read()
                taken = workers[one.contender].ask(one.ask, by_persons[one.persons], seconds)
                if one.name == TAIL:
                    work.read()
                for name, times in zip(filter(None, (one.name, one.network)), taken, strict=True):
                    if number:
                        found[name].append(times)
    readings = tuple(work.readings[2:])  # without those of the warm-up
    return Timed({name: tuple(values) for name, values in found.items()}, moved, work.spread, readings)


@dataclass(frozen=True)
class Start:
    """What a fresh process told."""

    import_s: float
    """Of `from danet import PoseEstimator`, NumPy and OpenCV being there."""
    first_result_s: float
    """From the start of the process, interpreter and imports included."""
    above_mib: float
    """Resident memory at the end, above that with NumPy and OpenCV alone."""
    memory: tuple[tuple[int, float], ...]
    """Frames done, and MiB above."""


def start(model: Path, threads: int, persons: int, frames: int, cache: str) -> Start:
    """Run `danet_benchmarks.targets.start` in a fresh process.

    Raises:
        WorkerError: it failed.
    """
    arguments = ("--threads", str(threads), "--persons", str(persons), "--frames", str(frames))
    # told by whoever starts it: the system knows a process's start to a second only
    done = subprocess.run(
        [sys.executable, "-m", "danet_benchmarks.targets.start", str(model), *arguments, "--started", f"{time.time()}"],
        env={**os.environ, VARIABLE: cache},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise WorkerError(f"a start of {model} failed: {done.stderr.strip()[-500:] or done.returncode}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    memory = tuple((line["frames"], line["above_mib"]) for line in lines)
    return Start(lines[0]["import_s"], lines[0]["since_start_s"], memory[-1][1], memory)


@dataclass(frozen=True)
class Starts:
    """Starts of the INT8 model."""

    cold_s: float
    """First result with an empty cache folder."""
    warm: tuple[Start, ...]
    """With the compiled graph kept, one person."""
    crowd: Start
    """8 persons to a frame."""
    long: Start
    """One person, many frames."""

    @property
    def first_result_s(self) -> float:
        """Median of the warm starts."""
        return median(one.first_result_s for one in self.warm)

    @property
    def import_s(self) -> float:
        """Median of the warm starts."""
        return median(one.import_s for one in self.warm)

    @property
    def grown_mib(self) -> float:
        """Memory at the end of the long run above that after its first tenth."""
        memory = self.long.memory
        return memory[-1][1] - memory[len(memory) // 10 - 1][1]


def measure_starts(model: Path, threads: int, frames: int, say: Say) -> Starts:
    """Start processes with an empty cache folder, then with what the first one left there."""
    with tempfile.TemporaryDirectory() as cache:
        say("starts")
        cold = start(model, threads, 1, 20, cache)
        warm = tuple(start(model, threads, 1, 100, cache) for _ in range(STARTS))
        start(model, threads, 8, 20, cache)
        crowd = start(model, threads, 8, 40, cache)
        say(f"one process, {frames} frames")
        return Starts(cold.first_result_s, warm, crowd, start(model, threads, 1, frames, cache))

"""One case on its way through the rounds: its worker, and what it gave so far."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from danet_benchmarks.measurements import Least, Round, Scenes
from danet_benchmarks.plan import Plan
from danet_benchmarks.results import FrameSpeed, Peak, Speed, Spread, Stages
from danet_benchmarks.runner import Runner
from danet_benchmarks.trial import Trial
from danet_benchmarks.worker import Worker

MAX_LATENCIES = 1000
"""Of single frames, that a report keeps to a case and number of persons."""


class CaseRun:
    """An open case in a process of its own; a context manager.

    Raises:
        WorkerError: the case could not be opened.
    """

    def __init__(self, trial: Trial, plan: Plan) -> None:
        self.trial = trial
        self.rounds: list[Round] = []
        """Measured so far."""
        self.memory_mib = 0.0
        """Of its process, once it is warm."""
        self._worker = Worker(Runner, trial.case, trial.path, trial.hint, silence_s=plan.silence_s)
        self._opening = self._worker.ask(Runner.opening)

    @property
    def process_id(self) -> int:
        """Of its worker."""
        return self._worker.process_id

    def warm_up(self, scenes: Sequence[Scenes]) -> None:
        """Run everything once, unmeasured."""
        self.memory_mib = self._worker.ask(Runner.warm_up, scenes)

    def measure(self, least: Least) -> None:
        """One more round."""
        self.rounds.append(self._worker.ask(Runner.measure, least))

    def speed(self, peaks: Sequence[Peak]) -> Speed:
        """The figures of all rounds so far, at least one."""
        network = Spread(tuple(one.network_pps for one in self.rounds))
        opening = self._opening
        return Speed(
            effective_precision=opening.effective_precision,
            network_pps=network,
            end_to_end=frame_speeds(self.rounds),
            stages=_stages(self.rounds),
            load_s=opening.load_s,
            first_inference_s=opening.first_inference_s,
            peak_rss_mib=opening.peak_rss_mib,
            cpu_s_per_person=median(one.cpu_s_per_person for one in self.rounds),
            share_of_peak=share_of_peak(self.trial, opening.effective_precision, network.median, peaks),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.close()


def frame_speeds(rounds: Sequence[Round]) -> tuple[FrameSpeed, ...]:
    """By number of persons: persons per second of each round, and latencies over all of them."""
    return tuple(
        _frame_speed(rounds, index, persons)
        for index, persons in enumerate(one.persons for one in rounds[0].end_to_end)
    )


def _frame_speed(rounds: Sequence[Round], index: int, persons: int) -> FrameSpeed:
    parts = [one.end_to_end[index] for one in rounds]
    latencies = np.concatenate([part.latencies_ms for part in parts])
    p50, p95, p99 = np.percentile(latencies, (50, 95, 99)).tolist()
    return FrameSpeed(persons, Spread(tuple(part.pps for part in parts)), p50, p95, p99, thinned(latencies))


def thinned(values: NDArray[np.float64], most: int = MAX_LATENCIES) -> tuple[float, ...]:
    """All of `values` (n,), or `most` of them, evenly taken, with the first and the last."""
    kept = values if len(values) <= most else values[np.linspace(0, len(values) - 1, most).round().astype(int)]
    return tuple(kept.tolist())


def _stages(rounds: Sequence[Round]) -> Stages:
    return Stages(
        crop_ms=median(one.stages.crop_ms for one in rounds),
        network_ms=median(one.stages.network_ms for one in rounds),
        decode_ms=median(one.stages.decode_ms for one in rounds),
    )


def share_of_peak(trial: Trial, effective_precision: str, network_pps: float, peaks: Sequence[Peak]) -> float | None:
    """Multiply-adds a second over the machine's peak in the same arithmetic on as many threads."""
    if trial.facts is None or trial.facts.executed_gmacs is None:
        return None
    arithmetic = effective_precision.split(",")[0].upper()  # "int8, rest fp32"
    for peak in peaks:
        if (peak.precision, peak.threads) == (arithmetic, trial.case.threads):
            return network_pps * trial.facts.executed_gmacs / peak.gops
    return None

"""The report while it grows: rows are filled in one by one, and saved so that a kill leaves them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from danet.errors import DanetError
from danet_benchmarks.machine import read_machine
from danet_benchmarks.results import Accuracy, Peak, Report, Row, Speed
from danet_benchmarks.trial import Trial

Save = Callable[[Report], None]


class Ledger:
    """Rows of trials in the order in which they were entered.

    Args:
        command: that made the run.
        rounds: planned.
        frame: height and width of the frames end to end.
        save: writes what there is, `complete=False`. It may fail with a DanetError: then the run goes
            on and a note says so.
    """

    def __init__(self, command: str, rounds: int, frame: tuple[int, int], save: Save) -> None:
        self._begun = time.monotonic()
        self._save = save
        self._rows: dict[Trial, Row] = {}
        self._notes: list[str] = []
        self._report = Report(
            command, datetime.now().astimezone().isoformat("T", "seconds"), 0.0, read_machine(), rounds, frame, ()
        )

    def enter(self, trials: Sequence[Trial]) -> None:
        """Rows for trials; those with an error have it from the start."""
        self._rows |= {trial: trial.row() for trial in trials}

    def machine(self, peaks: Sequence[Peak], noise: float, work_ms: float | None = None) -> None:
        """What was measured of the machine so far."""
        self._report = replace(self._report, machine=read_machine(peaks, noise, work_ms))

    def note(self, text: str) -> None:
        """Something that a reader must know; said once."""
        if text not in self._notes:
            self._notes.append(text)

    def speed(self, trial: Trial, speed: Speed) -> None:
        """What a trial did so far."""
        self._rows[trial] = replace(self._rows[trial], speed=speed)

    def accuracy(self, trial: Trial, accuracy: Accuracy) -> None:
        """How right a trial's model is."""
        self._rows[trial] = replace(self._rows[trial], accuracy=accuracy)

    def fail(self, trial: Trial, reason: str) -> None:
        """Why a trial ended early; a second reason is added to the first."""
        before = self._rows[trial].error
        if before is None or reason not in before:
            self._rows[trial] = replace(self._rows[trial], error=f"{before}; {reason}" if before else reason)

    def failed(self, trial: Trial) -> bool:
        """Whether a trial's row has an error."""
        return self._rows[trial].error is not None

    def save(self) -> None:
        """Write what there is."""
        try:
            self._save(self.report(complete=False))
        except DanetError as error:
            self.note(f"could not be saved while it ran: {error}")

    def report(self, complete: bool) -> Report:
        """Everything so far."""
        return replace(
            self._report,
            seconds=time.monotonic() - self._begun,
            rows=tuple(self._rows.values()),
            notes=tuple(self._notes),
            complete=complete,
        )

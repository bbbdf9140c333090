"""What a long run spends: time against its budget, memory, and bars for people."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.progress import Progress as Bar

from danet.errors import DanetError
from danet_calibration.crops import Progress


class BudgetSpentError(DanetError):
    """The minutes of a run are used up; what it measured is kept for the next."""


@dataclass
class Watch:
    """Counts a run's work, and stops it between two steps when its minutes are over."""

    bar: Bar
    minutes: float | None = None
    """None: no limit."""
    started: float = field(default_factory=time.monotonic)
    steps: int = 0
    """That were begun."""

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.started

    def begin_step(self) -> None:
        """Go on to work whose result will be kept, or not; a run does one step at least, so that reruns come to an end.

        Raises:
            BudgetSpentError: the minutes are over.
        """
        if self.steps and self.minutes is not None and self.seconds > 60 * self.minutes:
            raise BudgetSpentError(
                f"the {self.minutes:g} minutes are spent; run the same command again to go on from what is measured, "
                "or give more --minutes"
            )
        self.steps += 1

    def task(self, words: str, total: int) -> Progress:
        """A bar of `total` pieces, and the function that moves it."""
        task = self.bar.add_task(words, total=total)
        left = total

        def advance(pieces: int) -> None:
            nonlocal left
            if left <= 0:
                return
            left -= pieces
            self.bar.update(task, advance=pieces)
            if left <= 0:  # thousands of hidden ones would cost each redrawing
                self.bar.remove_task(task)

        return advance

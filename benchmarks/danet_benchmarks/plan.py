"""How long and how often a run measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The size of a run."""

    rounds: int
    seconds: float
    """One measurement of one case in one round lasts at least so long."""
    persons: int
    """One measurement of one case runs at least so many persons, all rounds together."""
    scenes: int
    """Frames at each number of persons, run in turn."""
    peak_s: float
    """For the peak of each precision."""
    rendered_persons: int
    """For the accuracy, where no data set is given."""
    batches: tuple[int, ...]
    """Where none are asked for."""
    silence_s: float
    """A worker that says nothing for so long is ended, and its row with it."""

    @property
    def persons_a_round(self) -> int:
        """Of one measurement of one case."""
        return -(-self.persons // self.rounds)


QUICK = Plan(3, 0.3, 0, 1, 0.5, 60, (8,), 300.0)
"""About a minute."""
DEFAULT = Plan(4, 0.4, 0, 1, 0.7, 100, (8,), 600.0)
"""Under three minutes for the embedded model."""
FULL = Plan(10, 1.0, 1000, 4, 3.0, 500, (1, 8), 3600.0)
"""The paper's protocol: the mean over 1,000 persons; one to a batch is there as well."""
FRAME_SIZE = (720, 1280)
"""Height and width of the frames end to end."""
FRAME_PERSONS = (1, 3, 10)
"""Persons to a frame."""

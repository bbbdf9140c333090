"""What a run of the gate found: attempts, and the outcome that a report holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from danet_calibration.strategy import Strategy
from danet_evaluation.evaluate import without_nan

SPREAD = 0.07
"""Standard deviation of an AP drop over the choice of the persons, times the root of their number: 0.05 to 0.07 were
measured for 10 to 400 persons (docs/quantization.md)."""


def spread(persons: int) -> float:
    """By how much the choice of so many persons moves an AP drop that is measured on them: one standard deviation."""
    return SPREAD / sqrt(persons)


@dataclass(frozen=True)
class Accuracy:
    """Keypoint AP of a file and of its float model on one data set: annotated boxes, no flip test."""

    data: str
    persons: int
    float_ap: float
    ap: float

    @property
    def drop(self) -> float:
        """AP lost; below 0 where the file is better."""
        return self.float_ap - self.ap

    @property
    def drop_spread(self) -> float:
        """By how much another choice of as many persons moves the drop."""
        return spread(self.persons)

    def to_dict(self) -> dict[str, Any]:
        """The fields, the drop and its spread over the choice of persons."""
        return {**asdict(self), "drop": self.drop, "drop_spread": self.drop_spread}


@dataclass(frozen=True)
class Attempt:
    """One strategy, quantized and measured."""

    rung: str
    """Of the ladder."""
    strategy: Strategy
    accuracies: tuple[Accuracy, ...]
    """Of the quantized file, on each data set that was measured on."""
    size: int
    """Bytes of the file, all its parts."""
    passed: bool
    seconds: float
    reused: bool = False
    """Measured by an earlier run."""

    @property
    def ap(self) -> float:
        """On the first data set, the annotated one where there is one."""
        return self.accuracies[0].ap

    @property
    def drop(self) -> float:
        """The largest of all data sets: what the gate looks at."""
        return max(accuracy.drop for accuracy in self.accuracies)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        accuracies = [accuracy.to_dict() for accuracy in self.accuracies]
        return {**asdict(self), "ap": self.ap, "drop": self.drop, "accuracies": accuracies}


@dataclass(frozen=True)
class GroupCost:
    """What quantizing one group of operations alone costs."""

    group: str
    operations: int
    weights: int
    """Numbers in the convolutions' weights."""
    ap: float
    drop: float
    """Both NaN for what no group claims, which is not quantized alone."""
    in_float: bool
    """Whether the default strategy leaves the group in float."""
    float_ms: float | None = None
    """Time of the group in the float graph, one batch; None where it was not profiled."""
    int8_ms: float | None = None
    """The same in the graph where the whole default scope is quantized."""


@dataclass(frozen=True)
class Outcome:
    """What became of one format."""

    format: str
    written: Path | None
    """The file, or None where none passed."""
    reason: str
    """In words: why it was written, or refused."""
    float_aps: tuple[float, ...]
    """AP of the float model on each data set."""
    attempts: tuple[Attempt, ...]
    sensitivity: tuple[GroupCost, ...] = ()
    """Where it was measured."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, NaN as None."""
        values = {**asdict(self), "attempts": [attempt.to_dict() for attempt in self.attempts]}
        values["written"] = str(self.written) if self.written else None
        cleaned: dict[str, Any] = without_nan(values)
        return cleaned

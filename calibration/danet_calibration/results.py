"""What a run of the gate found: attempts, and the outcome that a report holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from danet_calibration.strategy import Strategy
from danet_evaluation.evaluate import without_nan


@dataclass(frozen=True)
class Attempt:
    """One strategy, quantized and measured."""

    rung: str
    """Of the ladder."""
    strategy: Strategy
    ap: float
    """Keypoint AP of the quantized file."""
    drop: float
    """AP of the float model minus that."""
    size: int
    """Bytes of the file, all its parts."""
    passed: bool
    seconds: float
    reused: bool = False
    """Measured by an earlier run."""


@dataclass(frozen=True)
class GroupCost:
    """What quantizing one group of operations alone costs."""

    group: str
    operations: int
    weights: int
    """Numbers in the convolutions' weights."""
    ap: float
    drop: float
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
    float_ap: float
    attempts: tuple[Attempt, ...]
    sensitivity: tuple[GroupCost, ...] = ()
    """Where it was measured."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, NaN as None."""
        values: dict[str, Any] = without_nan(asdict(self))
        return {**values, "written": str(self.written) if self.written else None}

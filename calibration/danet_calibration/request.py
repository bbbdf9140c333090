"""What a run of `danet quantize` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from danet_calibration.data import DataChoice
from danet_calibration.strategy import Strategy

MAX_DROP = 0.005
"""AP, in [0, 1]."""


@dataclass(frozen=True)
class Request:
    """A model, the formats to quantize it to, and what proves them."""

    model: str
    """A checkpoint, a float file, or an embedded model's name."""
    out: Path
    """Folder of the files."""
    formats: tuple[str, ...] = ("openvino",)
    data: DataChoice = field(default_factory=DataChoice)
    max_drop: float = MAX_DROP
    minutes: float | None = None
    strategy: Strategy = field(default_factory=Strategy)
    name: str | None = None
    """Of the files, without suffix; the model's with "-int8" if not given."""
    sensitivity: Path | None = None
    """Folder of a sensitivity report; None: none is made."""

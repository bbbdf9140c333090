"""What a search measured, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np

from danet.tuning.record import Tuning
from danet.tuning.rounds import Series, median_interval, slowdown
from danet.tuning.settings import Settings


@dataclass(frozen=True)
class Row:
    """One contender of one stage."""

    stage: str
    settings: Settings
    precision: str
    """The arithmetic that was really used."""
    milliseconds: tuple[float, ...]
    """Median per frame, for each number of persons; where a stage times both uses, of `infer`, then of `stream`."""
    spreads: tuple[float, ...]
    """(highest - lowest) / median of the rounds."""
    speed: float
    """In multiples of the stage's first row: the median of the rounds' ratios."""
    speed_bounds: tuple[float, float]
    """They hold the true median with 95 %, from six rounds on."""
    rounds: int
    dropped: bool
    """Far behind, so not measured to the end."""
    moved: float
    """Share of keypoints that lie elsewhere than in the default arithmetic."""
    chosen: bool


@dataclass(frozen=True)
class Outcome:
    """What a search gives."""

    tuning: Tuning
    rows: tuple[Row, ...]


def row_of(
    stage: str, settings: Settings, precision: str, series: Series, first: Series, moved: float, chosen: bool
) -> Row:
    """The row of a contender that took `series`, in a stage whose first contender took `first`."""
    slower = slowdown(series, first)
    low, high = median_interval(slower)
    return Row(
        stage=stage,
        settings=settings,
        precision=precision,
        milliseconds=tuple(1e3 * value for value in series.medians),
        spreads=series.spreads,
        speed=exp(-float(np.median(slower))),
        speed_bounds=(exp(-high), exp(-low)),
        rounds=len(series.rounds),
        dropped=series.dropped,
        moved=moved,
        chosen=chosen,
    )

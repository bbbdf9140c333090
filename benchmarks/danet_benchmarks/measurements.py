"""What a case is given to measure with, and what it gives back, one round at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danet_benchmarks.results import Stages


@dataclass(frozen=True)
class Scenes:
    """Frames that show the same number of persons."""

    persons: int
    frames: tuple[tuple[NDArray[np.uint8], NDArray[np.float32]], ...]
    """Pictures (H, W, 3) uint8 BGR and their boxes (persons, 4) float32 xyxy."""


@dataclass(frozen=True)
class Least:
    """What one measurement in one round lasts at least."""

    seconds: float
    persons: int


@dataclass(frozen=True)
class Opening:
    """How a case started."""

    effective_precision: str
    load_s: float
    """From the file to an estimator, the import of the backend's library included."""
    first_inference_s: float
    """Of one batch; OpenVINO compiles in it."""
    peak_rss_mib: float
    """After that inference."""


@dataclass(frozen=True)
class FrameRound:
    """End to end at one number of persons to a frame, in one round."""

    persons: int
    pps: float
    latencies_ms: tuple[float, ...]


@dataclass(frozen=True)
class Round:
    """What one case did in one round."""

    network_pps: float
    end_to_end: tuple[FrameRound, ...]
    stages: Stages
    cpu_s_per_person: float

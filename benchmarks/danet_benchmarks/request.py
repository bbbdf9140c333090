"""What a benchmark run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from danet.model_spec import Precision
from danet_benchmarks.plan import FRAME_PERSONS, Plan

Part = Literal["speed", "accuracy"]
PARTS: tuple[Part, ...] = ("speed", "accuracy")


@dataclass(frozen=True)
class Grid:
    """Every combination of these is a case; None: what suits the model."""

    backends: tuple[str, ...] | None
    hints: tuple[Precision, ...] | None
    """Arithmetic asked of the backends."""
    batches: tuple[int, ...]
    threads: tuple[int, ...]
    streams: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class DataChoice:
    """What accuracy is measured on."""

    folder: Path | None = None
    """In COCO's format; None: rendered persons."""
    split: str = "val"
    detections: Path | None = None
    """Person boxes as COCO results; None: the annotated boxes."""
    limit: int | None = None
    """The first whole pictures with so many persons; None: all, or as many rendered ones as the plan says."""
    flip_test: bool = False


@dataclass(frozen=True)
class Request:
    """One run."""

    plan: Plan
    grid: Grid
    models: tuple[str, ...] = ()
    """Files and names of embedded models; empty without rivals and foreign files: the embedded model."""
    rivals: tuple[str, ...] | None = None
    """Networks of the paper's tables; empty: all of them; None: none."""
    foreign: tuple[Path, ...] = ()
    """Files without a model spec."""
    checkpoints: tuple[Path, ...] = ()
    """That model files may have been made from."""
    data: DataChoice = DataChoice()
    parts: tuple[Part, ...] = PARTS
    frame_persons: tuple[int, ...] = FRAME_PERSONS
    exported: Path = Path("benchmarks/results/exported")
    """Where exported files stay for the next run."""

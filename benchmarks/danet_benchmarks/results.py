"""What a benchmark run found: frozen values that the report writes and that a later run compares with."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Literal

FORMAT_VERSION = 2
"""Of the JSON form. Raised when an older reader would misread it."""

UNKNOWN = "?"
"""Precision of a file that could not be read."""
Kind = Literal["danet", "rival", "foreign"]
"""A trained DANet file; a network of the paper's Table II with random weights; a user's file without our spec."""


@dataclass(frozen=True)
class Spread:
    """One figure, measured once a round."""

    rounds: tuple[float, ...]
    """In the order of the rounds; never empty."""

    @property
    def median(self) -> float:
        """What tables show."""
        return median(self.rounds)

    @property
    def low(self) -> float:
        """The smallest round."""
        return min(self.rounds)

    @property
    def high(self) -> float:
        """The largest round."""
        return max(self.rounds)

    @property
    def relative(self) -> float:
        """(high - low) / median: the width of the interval that two runs should agree within."""
        return (self.high - self.low) / self.median if self.median else 0.0


@dataclass(frozen=True)
class Peak:
    """What the machine's arithmetic gave in large matrix products or convolutions, whichever are faster."""

    precision: str
    """"FP32", "BF16" or "INT8"."""
    threads: int
    gops: float
    """10^9 multiply-adds a second."""


@dataclass(frozen=True)
class Machine:
    """Where the run took place."""

    cpu: str
    cores: int
    """That the process could use."""
    features: tuple[str, ...]
    """Instruction sets that speed networks up."""
    governor: str | None
    """Frequency governor; None where the system does not tell."""
    memory_gib: float
    system: str
    python: str
    libraries: tuple[tuple[str, str], ...]
    """Name and version of what was measured or measured with."""
    peaks: tuple[Peak, ...]
    noise: float
    """Spread of a fixed piece of work repeated between the rounds: (high - low) / median."""
    work_ms: float | None = None
    """What that work took, the median; None where it was not done. It tells the machine's pace in a run."""


@dataclass(frozen=True)
class Case:
    """One way to run one model file."""

    name: str
    """Of the model: "danet72", "hrnet-w32"."""
    kind: Kind
    file: str
    """Base name of the file."""
    backend: str
    precision: str
    """Of the file and the hint, as asked for: "FP32", "FP16", "INT8", "FP32+BF16"."""
    batch: int
    """Persons to a network call in the network-only measurement, and at most end to end."""
    threads: int
    streams: int = 1
    """Network calls in flight in the network-only measurement."""

    @property
    def label(self) -> str:
        """One line for tables and plots."""
        streams = f" s{self.streams}" if self.streams > 1 else ""
        return f"{self.name} {self.backend} {self.precision} b{self.batch} t{self.threads}{streams}"


@dataclass(frozen=True)
class FrameSpeed:
    """End to end, frame and boxes to keypoints, at one number of persons to a frame."""

    persons: int
    pps: Spread
    """Persons per second."""
    p50_ms: float
    """Latency of a frame over all rounds."""
    p95_ms: float
    p99_ms: float
    latencies_ms: tuple[float, ...]
    """Of single frames, for the plots; at most 1,000, evenly taken."""

    def tail_ms(self, percent: Literal[95, 99]) -> float | None:
        """The p95 or p99; None where so few frames were timed that none need lie beyond it (20, and 100)."""
        beyond = len(self.latencies_ms) * (100 - percent) >= 100
        return (self.p95_ms if percent == 95 else self.p99_ms) if beyond else None


@dataclass(frozen=True)
class Stages:
    """Where the time of a person goes, milliseconds of wall time to a person."""

    crop_ms: float
    network_ms: float
    decode_ms: float


@dataclass(frozen=True)
class Speed:
    """How fast one case ran."""

    effective_precision: str
    """As the backend reports it."""
    network_pps: Spread
    """Network only, crops ready, at the case's batch."""
    end_to_end: tuple[FrameSpeed, ...]
    stages: Stages
    """At the largest number of persons to a frame."""
    load_s: float
    """From the file to an estimator."""
    first_inference_s: float
    peak_rss_mib: float
    """Of a process of its own that opens the file and infers, before others share its memory."""
    cpu_s_per_person: float
    """Processor seconds, all threads, end to end, of the timed frames."""
    share_of_peak: float | None
    """Multiply-adds a second over the machine's peak at the network's arithmetic; None where either is unknown."""


@dataclass(frozen=True)
class Accuracy:
    """How right one case is, on one data set with one protocol."""

    dataset: str
    persons: int
    boxes: str
    """"annotated", or the name of the detections file."""
    flip_test: bool
    ap: float
    ap50: float
    ap75: float
    ap_medium: float | None
    """None where the data set has no such person."""
    ap_large: float | None
    ar: float
    reference_ap: float | None
    """Of the checkpoint in the torch backend on the same crops; None where there is none."""
    recorded_ap: float | None
    """What the ModelSpec says that the checkpoint reached on this data set."""
    paper_ap: float | None
    """The paper's, only where the protocol is the paper's (COCO val2017)."""
    distance_px: float | None
    """Mean distance of keypoints from the reference's, pixels of the frame."""


@dataclass(frozen=True)
class Row:
    """One line of the report. What failed says why, and the other rows go on."""

    case: Case
    file_mib: float
    """With the weights file where that is another."""
    parameters_m: float | None
    """10^6 parameters of the network as trained."""
    gmacs: float | None
    """10^9 multiply-adds to a person (the paper's GFLOPs)."""
    speed: Speed | None = None
    accuracy: Accuracy | None = None
    paper_pps: float | None = None
    """Fig. 1b's, on eight cores of a Xeon Gold."""
    paper_coco_ap: float | None = None
    """Table II's."""
    error: str | None = None
    """One line."""


@dataclass(frozen=True)
class Report:
    """One run of the benchmark."""

    command: str
    """That made it."""
    started: str
    """ISO 8601, with the zone."""
    seconds: float
    machine: Machine
    rounds: int
    frame: tuple[int, int]
    """Height and width of the frames end to end."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know: a noisy machine, a row that was cut short, a backend that is not installed."""
    complete: bool = True
    """False in what a killed run left behind."""
    format_version: int = field(default=FORMAT_VERSION)

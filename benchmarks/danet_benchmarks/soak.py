"""Hours of work in minutes: whether a looped source leaks memory, threads or files, or grows slower.

    python -m danet_benchmarks.soak MODEL SOURCE [--frames 100000] [--minutes 30] [--detector yolox_nano.onnx]

Runs the tracked pipeline over and over the same source until either limit, and prints a row for each part of the run.
The exit status is 1 if memory grew by more than `GROWN_MIB` after the warm-up, or threads or file handles did at all,
or the latency of the last quarter is beyond what the parts before differ by.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from danet.commands.option_types import positive
from danet.detectors.opening import open_detector
from danet.estimator import PoseEstimator
from danet.files import write_beside
from danet.tracking.tracker import Tracker, TrackerSettings
from danet.video.opening import open_source
from danet.video.pipeline import PosePipeline
from danet_benchmarks.process_sample import sample

GROWN_MIB = 20.0
"""Growth of resident memory that is no leak yet, after the warm-up."""
PARTS = 20
WARM = 2
"""Parts that count as warm-up."""


@dataclass(frozen=True)
class Part:
    """A stretch of the run."""

    frames: int
    """Since the start, at its end."""
    seconds: float
    persons: int
    rss_mib: float
    threads: int
    handles: int
    """Open file descriptors (on Windows: handles)."""
    p50_ms: float
    p99_ms: float
    """Latency of a frame from the source to its poses, in this stretch."""


def soak(pipeline: PosePipeline, frames: int, minutes: float) -> list[Part]:
    """Run a pipeline until it has done so many frames or minutes; `PARTS` stretches by whichever comes first."""
    process, start = psutil.Process(), time.monotonic()
    parts: list[Part] = []
    latencies: list[float] = []
    persons = 0
    for count, result in enumerate(pipeline, start=1):
        latencies.append(1000 * result.latency_s)
        persons += len(result.poses)
        seconds = time.monotonic() - start
        done = max(count / frames, seconds / (60 * minutes))
        if done * PARTS >= len(parts) + 1 or done >= 1:
            parts.append(_part(process, count, seconds, persons, latencies))
            latencies, persons = [], 0
        if done >= 1:
            break
    return parts


def _part(process: psutil.Process, frames: int, seconds: float, persons: int, latencies: list[float]) -> Part:
    now = sample(process)
    p50, p99 = np.percentile(latencies, (50, 99))
    return Part(frames, seconds, persons, now.rss_mib, now.threads, now.handles, float(p50), float(p99))


def complaints(parts: list[Part]) -> list[str]:
    """What is not flat, in words; empty if all is."""
    warm = parts[WARM:]
    if len(warm) < 4:
        return [f"{len(parts)} parts are too few to tell; run longer"]
    quarter = max(len(warm) // 4, 1)
    said = []
    grown = max(part.rss_mib for part in warm[-quarter:]) - warm[0].rss_mib
    if grown > GROWN_MIB:
        said.append(f"memory grew by {grown:.1f} MiB after the warm-up")
    for name in ("threads", "handles"):
        values = [getattr(part, name) for part in warm]
        if min(values[-quarter:]) > max(values[:quarter]):
            said.append(f"{name} grew from {max(values[:quarter])} to {min(values[-quarter:])}")
    latency = [part.p50_ms for part in warm]
    before, last = latency[:-quarter], float(np.median(latency[-quarter:]))
    if last > max(before):
        said.append(
            f"the median latency of the last quarter, {last:.1f} ms, is above all before ({max(before):.1f} ms)"
        )
    return said


def _print(parts: list[Part], console: Console) -> None:
    table = Table("frames", "s", "persons", "RSS MiB", "threads", "handles", "p50 ms", "p99 ms")
    for part in parts:
        table.add_row(
            str(part.frames), f"{part.seconds:.0f}", str(part.persons), f"{part.rss_mib:.1f}", str(part.threads),
            str(part.handles), f"{part.p50_ms:.2f}", f"{part.p99_ms:.2f}",
        )  # fmt: skip
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table, and tell whether all is flat."""
    parser = argparse.ArgumentParser(description="A long run of the pipeline over a looped source.")
    parser.add_argument("model")
    parser.add_argument("source", help="a video file or folder of pictures, repeated")
    parser.add_argument("--detector", default="hog", help="hog, a detector's file, or none")
    parser.add_argument("--detect-every", type=int, default=10)
    parser.add_argument("--backend")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--frames", type=positive, default=100_000)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--json", metavar="FILE", type=Path)
    options = parser.parse_args(arguments)
    if not options.minutes > 0:
        parser.error(f"argument --minutes: {options.minutes}, expected a number above 0")
    detector = None if options.detector == "none" else open_detector(options.detector)
    tracker = None if detector is None else Tracker(TrackerSettings(detect_every=options.detect_every))
    with (
        PoseEstimator(options.model, backend=options.backend, threads=options.threads) as estimator,
        PosePipeline(open_source(options.source, loop=True), estimator, detector, tracker) as pipeline,
    ):
        parts = soak(pipeline, options.frames, options.minutes)
    console = Console()
    _print(parts, console)
    said = complaints(parts)
    for line in said or ["flat: memory, threads, file handles and latency"]:
        console.print(line, markup=False)
    if options.json:
        with write_beside(options.json) as temporary:
            temporary.write_text(json.dumps([asdict(part) for part in parts], indent=1) + "\n", encoding="utf-8")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())

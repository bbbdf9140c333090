"""A report such as a real run makes: two DANets and a rival in two backends, on two numbers of threads."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from danet_benchmarks.report.plot import Plot
from danet_benchmarks.report.plot_style import to_svg
from danet_benchmarks.report.plots import make_plots
from danet_benchmarks.results import (
    Accuracy,
    Case,
    FrameSpeed,
    Kind,
    Machine,
    Peak,
    Report,
    Row,
    Speed,
    Spread,
    Stages,
)

MACHINE = Machine(
    cpu="Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
    cores=2,
    features=("AVX2", "AVX-512", "AVX-512 VNNI", "AVX-512 BF16", "AMX", "AMX BF16", "AMX INT8"),
    governor=None,
    memory_gib=15.6,
    system="Linux 6.1.0, x86_64, glibc 2.36",
    python="3.11.2",
    libraries=(("danet-edge", "0.1.0"), ("openvino", "2026.4.1"), ("onnxruntime", "1.32.0"), ("torch", "2.13.0")),
    peaks=(Peak("FP32", 2, 118.0), Peak("BF16", 2, 903.0), Peak("INT8", 2, 1650.0)),
    noise=0.018,
    work_ms=21.5,
)
NETWORKS: dict[str, tuple[Kind, float, float, float | None, float | None, float]] = {
    # kind, 10^6 parameters, 10^9 multiply-adds, the paper's AP, its PPS, persons per second on one thread
    "danet72": ("danet", 3.36, 1.06, 0.710, 58.0, 52.0),
    "danet102": ("danet", 5.61, 1.81, 0.734, 32.0, 29.0),
    "simplebaseline-r50": ("rival", 34.0, 8.9, 0.704, None, 7.9),
    "hrnet-w32": ("rival", 28.5, 7.1, 0.744, None, 6.3),
    "pp-tinypose": ("foreign", 1.3, 0.33, None, None, 160.0),
}
BACKENDS = {("openvino", "FP32"): 1.0, ("openvino", "INT8"): 2.1, ("onnxruntime", "FP32"): 0.72}


def spread(middle: float, noise: random.Random, rounds: int = 5) -> Spread:
    return Spread(tuple(middle * noise.uniform(0.985, 1.015) for _ in range(rounds)))


def frame_speed(persons: int, pps: float, noise: random.Random, frames: int = 120) -> FrameSpeed:
    middle = 1000 * persons / pps
    latencies = sorted(middle * noise.lognormvariate(0, 0.06) for _ in range(frames))
    p50, p95, p99 = (latencies[int(part * frames)] for part in (0.5, 0.95, 0.99))
    noise.shuffle(latencies)
    return FrameSpeed(persons, spread(pps, noise), p50, p95, p99, tuple(latencies))


def speed(pps: float, precision: str, noise: random.Random) -> Speed:
    per_frame = tuple(frame_speed(count, pps * part, noise) for count, part in ((1, 0.55), (3, 0.8), (10, 0.93)))
    stages = Stages(0.31, 1000 / pps, 0.42)
    return Speed(
        precision, spread(pps, noise), per_frame, stages, 0.61, 0.05, 148.2, 1.9 / pps, 0.47 if pps < 100 else None
    )


def accuracy(name: str, precision: str, dataset: str = "people17/person_keypoints_val") -> Accuracy:
    reference = {"danet72": 0.327, "danet102": 0.352}.get(name)
    ap = (reference or 0.61) - (0.0042 if precision == "INT8" else 0.0)
    return Accuracy(
        dataset, 852, "annotated", True, ap, ap + 0.3, ap - 0.03, None, ap + 0.01, ap + 0.04,
        reference, reference and 0.33, None, reference and 0.37,
    )  # fmt: skip


def rows() -> list[Row]:
    noise = random.Random(7)
    made = []
    for name, (kind, parameters, gmacs, paper_ap, paper_pps, pps) in NETWORKS.items():
        for (backend, precision), factor in BACKENDS.items():
            if kind == "rival" and (backend, precision) != ("openvino", "FP32"):
                continue
            effective = "int8, rest fp32" if precision == "INT8" else "fp32"
            suffix = ".onnx" if backend == "onnxruntime" else ".xml"
            for threads in (1, 2):
                case = Case(name, kind, f"{name}-{precision.lower()}{suffix}", backend, precision, 8, threads)
                timed = speed(pps * factor * threads**0.88, effective, noise)
                one = Row(case, 2.3 * parameters, parameters, gmacs, timed, None, paper_pps, paper_ap)
                made.append(one if kind == "rival" else replace(one, accuracy=accuracy(name, precision)))
    return made


def report(**changes: object) -> Report:
    failed = Row(
        Case("hourglass-8", "rival", "hourglass-8.xml", "openvino", "FP32", 8, 2),
        95.1, 25.2, 26.2, paper_coco_ap=0.669, error="openvino: out of memory while compiling | batch 8",
    )  # fmt: skip
    whole = Report(
        command="danet benchmark danet72 danet102 --rivals --data ../shared/data/people17 --threads 1 2",
        started="2026-11-23T14:05:31+00:00",
        seconds=1742.0,
        machine=MACHINE,
        rounds=5,
        frame=(720, 1280),
        rows=(*rows(), failed),
        notes=(
            "tflite: not installed; pip install 'danet-edge[tflite]'",
            "The machine was noisy: a fixed piece of work varied by 1.8 %.",
        ),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def full() -> Report:
    return report()


@pytest.fixture(scope="session")
def plots(full: Report) -> dict[str, Plot]:
    """By name, in their order; drawn once, as nothing changes them."""
    return {plot.name: plot for plot in make_plots(full)}


@pytest.fixture(scope="session")
def svgs(plots: dict[str, Plot]) -> dict[str, str]:
    """The same as the page holds them."""
    return {name: to_svg(plot.figure, name, plot.title) for name, plot in plots.items() if plot.figure is not None}

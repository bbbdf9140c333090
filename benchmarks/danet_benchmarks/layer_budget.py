"""Where a network's time goes, layer by layer, and how far each is from what the machine can do.

    python -m danet_benchmarks.layer_budget danet72-int8.xml --batch 8 --threads 2

For each kind of layer: multiply-adds, bytes read and written, time by OpenVINO's own counters, and the time that the
machine's peaks allow at best: that of the arithmetic (large matrix products in the same arithmetic) or that of the
memory (copies of arrays too large for the caches), whichever is longer. Layers whose arrays stay in the caches may be
faster than the memory allows. The figures in docs/performance.md come from here.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from danet.cpu import read_cpu
from danet.opened_model import model_path
from danet_benchmarks.graph_cost import multiply_adds
from danet_benchmarks.peaks import measure_peaks
from danet_calibration.running_means import means_after

ROUNDS, WARM_UP = 30, 5
COPY_BYTES = 64 << 20
"""To a thread; beyond any cache of the machines that this runs on."""
_BYTES = {"f32": 4, "i32": 4, "f16": 2, "bf16": 2, "u8": 1, "i8": 1, "boolean": 1, "i64": 8}


@dataclass(frozen=True)
class Layer:
    """What one node of the executed graph does in one call."""

    kind: str
    kernel: str
    """OpenVINO's name of the code that runs: "jit_avx2_1x1_I8"."""
    multiply_adds: int
    bytes: int
    """Of its inputs, weights among them, and its output."""
    milliseconds: float


@dataclass(frozen=True)
class Peaks:
    """What the machine does at best on so many threads."""

    gmac: dict[str, float]
    """10^9 multiply-adds a second, by arithmetic: "FP32", "INT8"."""
    gbytes: float
    """10^9 bytes a second, read and written together."""

    def least_ms(self, layers: Sequence[Layer]) -> float:
        """The time that layers need at least: each the longer one of its arithmetic's and its memory's."""
        total = 0.0
        for layer in layers:
            arithmetic = "INT8" if layer.kernel.lower().endswith("i8") else "FP32"
            peak = self.gmac.get(arithmetic) or max(self.gmac.values())
            total += max(layer.multiply_adds / peak, layer.bytes / self.gbytes) / 1e6
        return total


def measure_layers(path: Path, batch: int, threads: int) -> list[Layer]:
    """The layers of a model as OpenVINO executes them, means of `ROUNDS` calls after `WARM_UP` others."""
    model = ov.Core().read_model(path)
    shape = [batch, *(side.get_length() for side in list(model.input(0).partial_shape)[1:])]
    model.reshape({0: shape})
    counts = {node.get_friendly_name(): multiply_adds(node) for node in model.get_ops()}
    config: dict[str, Any] = {
        "PERF_COUNT": "YES",
        "INFERENCE_PRECISION_HINT": ov.Type.f32,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
    }
    compiled = ov.Core().compile_model(model, "CPU", config)
    request = compiled.create_infer_request()
    crops = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    counted: list[dict[str, float]] = []
    for calls in (WARM_UP, ROUNDS):
        for _ in range(calls):
            request.infer({0: crops})
        counted.append({one.node_name: 1e3 * one.real_time.total_seconds() for one in request.get_profiling_info()})
    warm, all_calls = counted
    times = means_after(warm, all_calls, WARM_UP, WARM_UP + ROUNDS)
    nodes = compiled.get_runtime_model().get_ordered_ops()
    return [_layer(node, counts, times) for node in nodes if node.get_friendly_name() in times]


def _layer(node: Any, counts: dict[str, int], times: dict[str, float]) -> Layer:
    info = node.get_rt_info()
    names = info["originalLayersNames"].astype(str).split(",")
    moved = sum(_size(port.get_shape(), port.get_element_type()) for port in (*node.inputs(), node.output(0)))
    return Layer(
        info["layerType"].astype(str),
        info["primitiveType"].astype(str),
        sum(counts.get(name, 0) for name in names),
        moved,
        times[node.get_friendly_name()],
    )


def _size(shape: Any, kind: Any) -> int:
    return int(prod(shape)) * _BYTES.get(kind.get_type_name(), 4)


def copy_gbytes(threads: int, seconds: float) -> float:
    """10^9 bytes a second that all threads together read and write when they copy; the best of many copies."""
    pairs = [(np.ones(COPY_BYTES, np.uint8), np.zeros(COPY_BYTES, np.uint8)) for _ in range(threads)]
    best = 0.0
    end = time.perf_counter() + seconds
    with ThreadPoolExecutor(threads) as pool:
        while time.perf_counter() < end:
            start = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
            best = max(best, 2 * threads * COPY_BYTES / (time.perf_counter() - start) / 1e9)
    return best


def measure_machine(threads: int, seconds: float) -> Peaks:
    """The peaks on so many threads."""
    found = {one.precision: one.gops for one in measure_peaks((threads,), seconds)}
    return Peaks(found, copy_gbytes(threads, seconds))


def table(layers: Sequence[Layer], peaks: Peaks, batch: int) -> str:
    """A Markdown table of the kinds of layers, the most costly first, figures to a person."""
    kinds: dict[tuple[str, str], list[Layer]] = {}
    for layer in layers:
        kinds.setdefault((layer.kind, layer.kernel), []).append(layer)
    total = sum(layer.milliseconds for layer in layers)
    lines = [
        "| layer | kernel | number | MMAC | MB | ms | share | GMAC/s | least ms | of the least |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    order = sorted(kinds.items(), key=lambda item: -sum(one.milliseconds for one in item[1]))
    for (kind, kernel), members in [*order, (("all", ""), list(layers))]:
        taken = sum(one.milliseconds for one in members)
        if taken < 0.002 * total:
            continue
        adds, moved, least = (
            sum(one.multiply_adds for one in members),
            sum(one.bytes for one in members),
            peaks.least_ms(members),
        )
        lines.append(
            f"| {kind} | {kernel} | {len(members)} | {adds / batch / 1e6:.1f} | {moved / batch / 1e6:.2f} "
            f"| {taken / batch:.2f} | {taken / total:.1%} | {adds / taken / 1e6:.0f} | {least / batch:.2f} "
            f"| {taken / least:.1f} x |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time and operations of each kind of layer.")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=read_cpu().cores)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each of the machine's peaks")
    options = parser.parse_args(arguments)
    peaks = measure_machine(options.threads, options.seconds)
    said = ", ".join(f"{name} {value:.0f} GMAC/s" for name, value in peaks.gmac.items())
    print(
        f"{read_cpu().name}, {', '.join(read_cpu().features)}; {options.threads} threads; {time.strftime('%F')}. "
        f"Peaks: {said}, copies {peaks.gbytes:.1f} GB/s."
    )
    for name in options.models:
        layers = measure_layers(model_path(name), options.batch, options.threads)
        print(f"\n{Path(name).name}, batch of {options.batch}, figures to a person\n")
        print(table(layers, peaks, options.batch))
    return 0


if __name__ == "__main__":
    sys.exit(main())

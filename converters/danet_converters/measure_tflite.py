"""Is the graph made for TFLite faster? Its files against a plain export and ONNX Runtime, interleaved.

    python -m danet_converters.measure_tflite CHECKPOINT --threads 2 --rounds 40
    python -m danet_converters.measure_tflite CHECKPOINT --files danet72-int8.tflite

The figures in docs/tflite.md were measured by the same functions, before this command held them together.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.cpu import read_cpu
from danet.model_spec import ModelSpec
from danet.tflite_file import with_spec
from danet_converters.deployed import DeployedNetwork
from danet_converters.export import TARGETS
from danet_converters.simplify import Rewrites, simplify
from danet_converters.tflite_form import PlainNetwork
from danet_converters.tflite_profile import operation_costs, partitions
from danet_converters.to_onnx import write_onnx
from danet_converters.to_tflite import converted, float_model, stored_as
from danet_converters.turns import TIMED, Contender, race
from danet_network.checkpoint import load_checkpoint


def main() -> None:
    """Export, print the operations of each file, run all in turn, print medians."""
    parser = argparse.ArgumentParser(description="Time the graph that is made for TFLite.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="more .tflite files to time")
    options = parser.parse_args()
    print(f"{read_cpu().name}, {options.threads} threads, {time.strftime('%F')}")
    with tempfile.TemporaryDirectory() as folder:
        files = [*_exported(options.checkpoint, Path(folder)), *options.files]
        for path in files:
            if path.suffix == ".tflite":
                _print_operations(path, options.threads)
        _print_speeds(files, options)


def _exported(checkpoint: Path, folder: Path) -> list[Path]:
    """The ONNX file, the plain .tflite, and one for each TFLite target."""
    network, spec = load_checkpoint(checkpoint)
    deployed = DeployedNetwork(simplify(network, Rewrites()), spec).eval()
    paths = [folder / "onnx-fp32.onnx", folder / "plain-fp32.tflite"]
    with torch.no_grad():
        write_onnx(deployed, spec, paths[0])
        plain, made = converted(PlainNetwork(deployed).eval(), spec), float_model(deployed, spec)
    paths[1].write_bytes(with_spec(plain, spec))
    for target in (one for one in TARGETS if one.format == "tflite"):
        paths.append(folder / f"made-for-tflite-{target.label}.tflite")
        stored = with_spec(stored_as(target.precision, made), replace(spec, precision=target.precision))
        paths[-1].write_bytes(stored)
    return paths


def _print_operations(path: Path, threads: int) -> None:
    model = path.read_bytes()
    pieces, left = partitions(model, threads)
    costs = operation_costs(model, threads)
    print(
        f"\n{path.name}: {len(model) / 1e6:.2f} MB, {sum(cost.count for cost in costs)} operations in {pieces} "
        f"partitions and {left} outside, {sum(cost.milliseconds for cost in costs):.1f} ms if each runs alone"
    )
    for cost in costs:
        print(f"  {cost.name:20} {cost.count:5} {cost.milliseconds:8.2f} ms")


def _print_speeds(files: Sequence[Path], options: argparse.Namespace) -> None:
    """Run the files in turn, print medians."""
    rng = np.random.default_rng(0)
    rows = []
    for path in files:
        loaded = load_model(path, None, BackendOptions(threads=options.threads))
        size = options.batch if loaded.batch_sizes is None else loaded.batch_sizes[0]
        height, width = (loaded.spec or ModelSpec("unknown")).input_size
        rows.append(Contender(path.name, loaded.backend, rng.integers(0, 256, (size, height, width, 3), np.uint8)))
    race(rows, options.rounds)
    print(f"\nmedians of {options.rounds} interleaved rounds of {TIMED} calls, batch {options.batch}")
    for row in rows:
        speed = row.persons_per_second
        ratio = speed / rows[0].persons_per_second
        print(f"{row.label:36} {1e3 / speed:8.2f} ms a person  {speed:7.1f} PPS  x {ratio:.2f}")


if __name__ == "__main__":
    main()

"""Which rewrite helps where: times each combination, interleaved, on every runtime.

    python -m danet_converters.measure_rewrites CHECKPOINT --threads 2 --rounds 40

The figures in docs/conversion.md come from here.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.cpu import read_cpu
from danet_converters.deployed import DeployedNetwork
from danet_converters.simplify import Rewrites, simplify
from danet_converters.to_onnx import write_onnx
from danet_converters.to_openvino import write_ir
from danet_converters.turns import TIMED, Contender, race
from danet_network.checkpoint import load_checkpoint

VARIANTS = {
    "none": Rewrites(fold_norms=False, carry_means=False),
    "fold_norms": Rewrites(carry_means=False),
    "fold_norms + carry_means": Rewrites(),
    "fold_norms + clamp_inputs": Rewrites(carry_means=False, clamp_inputs=True),
    "all three": Rewrites(clamp_inputs=True),
}
BATCHES = (1, 8)


def main() -> None:
    """Export every variant, run them in turn, print medians."""
    parser = argparse.ArgumentParser(description="Time the exact rewrites of the graph.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = _open(options.checkpoint, Path(folder), options.threads)
    race(rows, options.rounds)
    print(
        f"{read_cpu().name}, {options.threads} threads, fp32, medians of {options.rounds} interleaved rounds "
        f"of {TIMED} calls, {time.strftime('%F')}"
    )
    plain = {row.label.split(": ")[0]: row.persons_per_second for row in rows if row.label.endswith(": none")}
    for row in rows:
        ratio = row.persons_per_second / plain[row.label.split(": ")[0]]
        print(f"{row.label:60} {row.persons_per_second:7.1f} PPS  x {ratio:.3f}")


def _open(checkpoint: Path, folder: Path, threads: int) -> list[Contender]:
    network, spec = load_checkpoint(checkpoint)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (max(BATCHES), *spec.input_size, 3), np.uint8)
    rows = []
    for label, rewrites in VARIANTS.items():
        with torch.no_grad():
            deployed = DeployedNetwork(simplify(network, rewrites), spec).eval()
            write_onnx(deployed, spec, folder / f"{label}.onnx")
            write_ir(deployed, spec, folder / f"{label}.xml")
        for suffix, name in ((".xml", "openvino"), (".onnx", "onnxruntime")):
            options = BackendOptions(threads=threads, keep_compiled=False)
            backend = load_model(folder / f"{label}{suffix}", name, options).backend
            for batch in BATCHES:
                rows.append(Contender(f"{name}, batch {batch}: {label}", backend, images[:batch]))
                rows[-1].take_turn()  # compiled while the file is there
    return rows


if __name__ == "__main__":
    main()

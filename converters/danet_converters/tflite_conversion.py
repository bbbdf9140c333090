"""A PyTorch module to a TFLite flatbuffer, run as a process of its own: MODULE.pt HEIGHT WIDTH TARGET.tflite.

litert-torch brings JAX along, which has threads and complains of every later fork of its process.
"""

from __future__ import annotations

import sys

import litert_torch
import torch


def main() -> None:
    """Convert for a batch of one crop of uint8 pixels."""
    source, height, width, target = sys.argv[1:]
    network = torch.load(source, weights_only=False)  # written by the process that started this one
    example = torch.zeros((1, int(height), int(width), 3), dtype=torch.uint8)
    with torch.no_grad():
        litert_torch.convert(network, (example,)).export(target)


if __name__ == "__main__":
    main()

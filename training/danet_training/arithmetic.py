"""Which arithmetic a device is fast in."""

from __future__ import annotations

import torch

from danet.cpu import read_cpu

_BF16 = {"AVX-512 BF16", "AMX BF16", "BF16"}
"""CPU features that multiply bfloat16."""


def computes_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products are the device's own; elsewhere torch emulates them, many times slower than float32."""
    if device.type == "cpu":
        return bool(_BF16.intersection(read_cpu().features))
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)

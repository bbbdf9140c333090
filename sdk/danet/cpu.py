"""What the CPU offers to networks."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_tile": "AMX",
    "amx_bf16": "AMX BF16",
    "amx_int8": "AMX INT8",
    "asimd": "NEON",
    "asimddp": "dot product",
    "i8mm": "I8MM",
    "bf16": "BF16",
}
"""Flags of /proc/cpuinfo that matter to inference, and their usual names."""


@dataclass(frozen=True)
class Cpu:
    """The processor that this process runs on."""

    name: str
    cores: int
    """That the process may use."""
    features: tuple[str, ...]
    """Instruction sets that speed networks up; empty where the system does not tell."""


def read_cpu() -> Cpu:
    """Ask the system."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set(values.get("flags", values.get("Features", "")).split())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    name = values.get("model name") or platform.processor() or platform.machine()
    return Cpu(name, cores, tuple(label for flag, label in _FEATURES.items() if flag in flags))

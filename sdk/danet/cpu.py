"""What the CPU offers to networks."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from danet.cpu_quota import quota_cores

CPUINFO = Path("/proc/cpuinfo")
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
    """That the process may use; see `usable_cores`."""
    features: tuple[str, ...]
    """Instruction sets that speed networks up; empty where the system does not tell."""


def read_cpu() -> Cpu:
    """Ask the system."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set(values.get("flags", values.get("Features", "")).split())
    name = values.get("model name") or _arm_name(text) or _mac_name() or platform.processor() or platform.machine()
    return Cpu(name, usable_cores(), tuple(label for flag, label in _FEATURES.items() if flag in flags))


def _arm_name(text: str) -> str:
    """The kinds of cores by Arm's numbers, which is all that 64-bit Arm kernels tell: "aarch64 0x41:0xd08:0x0"."""
    kinds: dict[str, None] = {}  # a set in its order
    core: dict[str, str] = {}
    for line in [*text.splitlines(), "processor:"]:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor" and "CPU part" in core:
            kinds[":".join(core.get(f"CPU {name}", "") for name in ("implementer", "part", "variant"))] = None
        core = {} if key == "processor" else {**core, key: value}
    return " ".join([platform.machine(), *kinds]) if kinds else ""


@lru_cache
def _mac_name() -> str:
    if sys.platform != "darwin":
        return ""
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def usable_cores() -> int:
    """Cores that this process may use: by its affinity, and by the CPU time that its container is allowed."""
    return cores_by_quota() or _cores_by_affinity()


def cores_by_quota() -> int | None:
    """Cores' worth of time that the container is allowed; None where the process has no more cores than that."""
    quota = quota_cores()
    return quota if quota is not None and quota < _cores_by_affinity() else None


def limited_cores() -> int | None:
    """The cores that this process may use; None where those are all of the machine."""
    cores = usable_cores()
    return cores if cores < (os.cpu_count() or 1) else None


def _cores_by_affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

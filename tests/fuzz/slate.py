"""What a fuzzing process is at, in memory that outlives it: after a crash the parent reads the last input there."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

CAPACITY = 1 << 20
"""Bytes of the longest input that is kept."""
_HEAD = struct.Struct("<QQdQ")


@dataclass(frozen=True)
class Standing:
    """How far a process is."""

    inputs: int
    findings: int
    seconds: float
    """Since its first input."""
    last: bytes
    """The input that it works on, or worked on last."""


class Slate:
    """A file of a fixed size, mapped by parent and child."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_HEAD.size + CAPACITY))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    def write(self, inputs: int, findings: int, seconds: float, data: bytes) -> None:
        """Note an input before it is tried."""
        self._memory[: _HEAD.size] = _HEAD.pack(inputs, findings, seconds, len(data))
        self._memory[_HEAD.size : _HEAD.size + len(data)] = data

    def read(self) -> Standing:
        """What was noted last."""
        inputs, findings, seconds, length = _HEAD.unpack(self._memory[: _HEAD.size])
        return Standing(inputs, findings, seconds, bytes(self._memory[_HEAD.size : _HEAD.size + length]))

    def close(self) -> None:
        """Unmap the file."""
        self._memory.close()

"""Values of any kind out of a fuzzer's bytes, the same for the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

ODD_NUMBERS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 1e-3, 1e-45, -1e-45, 1e-310, 5e-324, 2.0**-149, 2.0**31, -(2.0**31), 2.0**63),
    *(1e6, 999_999.5, -1e6, 32_766.0, 32_767.5, 3.4e38, -3.4e38, 1e39, 1e154, -1e154, 1e200, 1.7e308, -1.7e308),
    *(float("nan"), float("inf"), float("-inf")),
)


class Bytes:
    """Reads values from the front of bytes; behind their end everything is 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes, with zeros for those that are missing."""
        part = self._data[self._place : self._place + count]
        self._place += len(part)
        return part.ljust(count, b"\0")

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data) - self._place)

    def integer(self, low: int, high: int) -> int:
        """A number in low..high, of two bytes or, for a wide range, four."""
        span = high - low + 1
        return low + int.from_bytes(self.take(2 if span <= 1 << 16 else 4), "little") % span

    def choice(self, options: Sequence[T]) -> T:
        """One of some options."""
        return options[int.from_bytes(self.take(1), "little") % len(options)]

    def number(self) -> float:
        """Any float64: an odd one, a small one, or eight raw bytes."""
        kind = self.integer(0, 2)
        if kind == 0:
            return self.choice(ODD_NUMBERS)
        if kind == 1:
            return self.integer(-2000, 2000) / 4
        return float(np.frombuffer(self.take(8), np.float64)[0])

    def numbers(self, *shape: int) -> NDArray[np.float64]:
        """An array of `number`s."""
        count = int(np.prod(shape))
        return np.array([self.number() for _ in range(count)], np.float64).reshape(shape)

    def array(self, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        """An array of raw bytes, a length of them repeated until it is full; floats of any bit pattern."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        part = self.take(min(size, self.integer(1, 512))) or b"\0"
        return np.frombuffer((part * (size // len(part) + 1))[:size], dtype).reshape(shape)


_FOLDER = TemporaryDirectory(prefix="danet-fuzz-")


def as_file(data: bytes, suffix: str) -> Path:
    """A file of these bytes; the next call with this suffix writes the same file anew."""
    path = Path(_FOLDER.name) / f"input{suffix}"
    path.write_bytes(data)
    return path


def edited(content: bytes, edits: Bytes, most: int = 16) -> bytes:
    """A large file with small changes: bytes replaced, cut out, doubled or written over with those that follow."""
    changed = bytearray(content)
    for _ in range(edits.integer(0, most)):
        place = edits.integer(0, max(len(changed) - 1, 0))
        kind = edits.integer(0, 4)
        if kind == 0:
            changed[place : place + 1] = edits.take(1)
        elif kind == 1:
            del changed[place : place + edits.integer(1, 4096)]
        elif kind == 2:
            changed[place:place] = changed[place : place + edits.integer(1, 4096)]
        elif kind == 3:
            part = edits.take(edits.integer(1, 24))
            changed[place : place + len(part)] = part
        else:
            changed[place:place] = edits.take(edits.integer(1, 24))
    return bytes(changed)

"""Frames with persons for many threads, and the comparison of their answers."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.model_spec import ModelSpec
from danet.poses import Poses

LIMIT_S = 60.0
"""What takes longer hangs."""
SPEC = ModelSpec(name="own", input_size=(64, 64))
FRAME = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
BOX = [[20.0, 10.0, 90.0, 110.0]]


def jobs(most: int = 12) -> list[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """Frames of several sizes with 0, 1, ... `most` boxes."""
    draw = np.random.default_rng(4)
    made = []
    for count in range(most + 1):
        frame = draw.integers(0, 255, (90 + 7 * count, 120 + 5 * count, 3)).astype(np.uint8)
        corner = draw.uniform(-10, 60, (count, 2))
        made.append((frame, np.hstack((corner, corner + draw.uniform(15, 70, (count, 2))))))
    return made


def few_jobs() -> list[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """Those of nobody, of one batch each, and of two: ten persons are eight and two."""
    made = jobs()
    return [made[count] for count in (0, 1, 2, 3, 5, 10)]


def assert_same(one: Poses, other: Poses) -> None:
    for name in ("keypoints", "scores", "boxes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def in_threads(count: int, work: Callable[[int], Any]) -> list[BaseException | None]:
    """What `work(number)` raised in each of so many threads that begin together; fails if one hangs."""
    raised: list[BaseException | None] = [None] * count
    together = threading.Barrier(count)

    def run(number: int) -> None:
        together.wait(LIMIT_S)
        try:
            work(number)
        except BaseException as error:
            raised[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive(), "hangs"
    return raised


def python(code: str, *arguments: object, timeout: float = LIMIT_S) -> subprocess.CompletedProcess[str]:
    """Run a program; raises TimeoutExpired if it hangs."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, text=True, capture_output=True, timeout=timeout, check=False)


class Zeros:
    """A backend of the user's own for `SPEC`."""

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros((len(images), 17, 16, 16), np.float32)

    def close(self) -> None: ...

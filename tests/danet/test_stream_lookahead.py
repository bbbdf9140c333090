"""`PoseEstimator.stream` reads a frame ahead, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from danet.estimator import PoseEstimator

FRAME = np.zeros((60, 50, 3), np.uint8)


def test_poses_come_with_the_next_frame() -> None:
    """Both could only be had if the caller's iterable ran in a thread of danet's."""
    read: list[int] = []

    def camera() -> Iterator[tuple[Any, Any]]:
        for index in range(3):
            read.append(index)
            yield FRAME, None

    with PoseEstimator("null", backend="null") as estimator:
        given = [len(read) for _ in estimator.stream(camera())]
    assert given == [2, 3, 3]
    told = " ".join((PoseEstimator.stream.__doc__ or "").split())
    assert "of a camera one frame late" in told
    assert "Use `infer` there, or `PosePipeline` for a camera." in told

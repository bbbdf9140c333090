from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.detectors.base import Detections
from danet.keypoints import COCO_KEYPOINTS
from danet.poses import Poses
from danet.tracking.boxes import iou, keypoint_box

STANDING = np.array(
    [
        (0, -80), (4, -84), (-4, -84), (8, -82), (-8, -82), (18, -60), (-18, -60), (24, -30), (-24, -30),
        (26, -2), (-26, -2), (12, 0), (-12, 0), (13, 42), (-13, 42), (14, 84), (-14, 84),
    ],
    np.float64,
)  # fmt: skip
"""A person of 168 pixels, the hips' middle at 0, 0; in COCO's order."""

Person = Callable[[float, float], NDArray[np.float64]]


@pytest.fixture
def person() -> Person:
    """Keypoints (17, 2) of a standing person whose hips are at x, y."""
    assert len(STANDING) == len(COCO_KEYPOINTS)
    return lambda x, y: STANDING + np.array((x, y))


class World:
    """Persons whose keypoints are known; answers as a detector and a pose network would."""

    def __init__(self, noise: float = 0.0) -> None:
        self.persons: dict[int, NDArray[np.float64]] = {}
        self.order: list[int] = []
        """From the nearest to the farthest; who is not in it is in front of nobody and hidden by nobody."""
        self.random = np.random.default_rng(0)
        self.noise = noise
        self.blind: set[int] = set()
        """Whom the detector does not see."""

    def visible(self) -> list[int]:
        """Those who are not hidden behind a nearer one."""
        names = sorted(self.persons, key=lambda name: self.order.index(name) if name in self.order else -1)
        shown: list[int] = []
        for name in names:
            box = self._box(name)
            if all(iou(box[None], self._box(other)[None])[0, 0] < 0.35 for other in shown):
                shown.append(name)
        return shown

    def _box(self, name: int) -> NDArray[np.float64]:
        return keypoint_box(self.persons[name], np.ones(17, bool))

    def detect(self) -> Detections:
        """A box for each visible person."""
        boxes = [self._box(name) for name in self.visible() if name not in self.blind]
        return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes), np.float32))

    def infer(self, boxes: NDArray[np.float32]) -> Poses:
        """For each box the visible person in it who fits it best; scores of 0.05 where there is none."""
        shown = self.visible()
        points, scores = np.zeros((len(boxes), 17, 2), np.float32), np.full((len(boxes), 17), 0.05, np.float32)
        if shown and len(boxes):
            overlap = iou(boxes, np.array([self._box(name) for name in shown]))
            for row, column in enumerate(overlap.argmax(1)):
                if overlap[row, column] > 0.1:
                    noise = self.random.normal(0, self.noise, (17, 2)) if self.noise else 0
                    points[row], scores[row] = self.persons[shown[column]] + noise, 0.8
        return Poses(points, scores, boxes)


@pytest.fixture
def world() -> World:
    """An empty one."""
    return World()

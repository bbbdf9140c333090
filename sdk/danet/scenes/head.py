"""The head: an ellipsoid with a jaw, seen by an affine camera, and where its keypoints are.

Local frame: unit is the head's height, origin its middle; x to the person's left, y down, z back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danet.scenes.camera import Camera
from danet.scenes.canvas import Points, hull
from danet.scenes.skeleton import Skeleton

AXES = np.array((0.345, 0.455, 0.415))
"""Half axes of the skull."""

SKULL_CENTER = np.array((0.0, -0.045, 0.0))
JAW = (np.array((0.0, 0.335, -0.20)), 0.15)
"""Centre and radius of the chin's ball."""

NOSE = np.array((0.0, 0.155, -0.475))
BRIDGE = np.array((0.0, 0.0, -0.40))
EYE_X, EYE_Y = 0.145, 0.005
EAR = np.array((0.35, 0.07, 0.04))
MOUTH_Y = 0.275
FACE_DIRECTION = np.array((0.0, 0.255, -0.967))
"""Middle of the face on the skull, as a unit vector of the skull scaled to a sphere."""

CIRCLE = np.array([(math.cos(k * math.pi / 12), math.sin(k * math.pi / 12)) for k in range(24)], np.float32)


@dataclass(frozen=True)
class HeadView:
    """The head as the camera sees it.

    Args:
        origin: x, y of the head's middle, frame pixel indices.
        linear: (2, 3) from local units to pixels.
        rotation: (3, 3) from local to camera directions.
        size: pixels per head height.
    """

    origin: NDArray[np.float64]
    linear: NDArray[np.float64]
    rotation: NDArray[np.float64]
    size: float

    def project(self, points: NDArray[np.float64]) -> Points:
        """Local points (K, 3) -> frame pixel indices (K, 2)."""
        return (points @ self.linear.T + self.origin).astype(np.float32)

    @property
    def facing(self) -> float:
        """1 where the face looks into the camera, 0 in profile, -1 from behind."""
        return float(self.rotation[2, 2])

    def side_facing(self, side: int) -> float:
        """1 where the left (0) or right (1) side of the head looks into the camera, -1 where away."""
        return -float(self.rotation[2, 0]) * (1 - 2 * side)

    def surface_facing(self, point: NDArray[np.float64]) -> float:
        """1 where the skull's surface near a local point (3,) looks into the camera, -1 where away."""
        normal = (point - SKULL_CENTER) / AXES**2
        return -float(self.rotation[2] @ normal) / math.sqrt(float(normal @ normal))

    def up(self) -> tuple[float, float]:
        """Unit vector in the picture along which the head's axis (or, from the top, its depth) runs."""
        columns = self.linear[:, 1:].T
        x, y = columns[0] if math.hypot(*columns[0]) > 0.3 * self.size else columns[1]
        return float(x / math.hypot(x, y)), float(y / math.hypot(x, y))

    def skull(self, volume: float = 1.0) -> Points:
        """Silhouette (24, 2) of the skull enlarged by `volume`."""
        scaled = self.linear * (AXES * volume)
        lower = np.linalg.cholesky(scaled @ scaled.T + 1e-9 * np.eye(2))
        return self.project(SKULL_CENTER[None]) + CIRCLE @ lower.T.astype(np.float32)

    def ball(self, center: NDArray[np.float64], radius: float) -> Points:
        """Outline (24, 2) of a ball in local units."""
        return self.project(center[None]) + CIRCLE * np.float32(radius * self.size)

    def cap(self, direction: NDArray[np.float64], degrees: float, volume: float = 1.0) -> Points | None:
        """Visible outline (M, 2) of the skull's cap around `direction`; None where it is turned away.

        Args:
            direction: (3,) unit vector of the skull scaled to a sphere.
            degrees: angle from the cap's middle to its rim.
            volume: enlarges the skull.
        """
        away = self.rotation[2] / AXES
        away = away / math.sqrt(float(away @ away))
        if float(direction @ away) > 0.35:
            return None
        rim = _rim(direction, degrees)
        depth = rim @ away
        # what lies behind the silhouette is brought onto it
        shown = rim - np.maximum(depth, 0)[:, None] * away
        shown /= np.sqrt((shown**2).sum(axis=1, keepdims=True))
        return hull(self.project(SKULL_CENTER + AXES * volume * shown))

    def keypoints(self) -> Points:
        """Nose, eyes and ears (5, 2), COCO order, frame pixel indices."""
        return self.project(LANDMARKS)


def _rim(direction: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    helper = np.array((1.0, 0.0, 0.0))
    second = np.cross(direction, helper)
    second /= math.sqrt(float(second @ second))
    third = np.cross(direction, second)
    radius, height = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return height * direction + radius * (CIRCLE[:, :1] * second + CIRCLE[:, 1:] * third)


def on_face(x: float, y: float) -> NDArray[np.float64]:
    """The local point (3,) of the skull's front surface at x, y."""
    across, down = x / AXES[0], (y - SKULL_CENTER[1]) / AXES[1]
    depth = math.sqrt(max(0.0, 1 - across * across - down * down))
    return np.array((x, y, SKULL_CENTER[2] - AXES[2] * depth))


EYES = (on_face(EYE_X, EYE_Y), on_face(-EYE_X, EYE_Y))
EARS = (EAR, EAR * (-1.0, 1.0, 1.0))
LANDMARKS = np.stack((NOSE, *EYES, *EARS))
"""(5, 3) nose, left eye, right eye, left ear, right ear."""


def view_head(skeleton: Skeleton, camera: Camera) -> HeadView:
    """The camera's affine view of a skeleton's head."""
    center = skeleton.head_center[None]
    size = float(camera.factors(center)[0]) * skeleton.build.head
    return HeadView(camera.project(center)[0], skeleton.head[:2] * size, skeleton.head, size)

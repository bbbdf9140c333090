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
CIRCLE = np.array([(math.cos(k * math.pi / 12), math.sin(k * math.pi / 12)) for k in range(24)], np.float32)


@dataclass(frozen=True)
class Cap:
    """A round part of the skull scaled to a unit sphere.

    Args:
        direction: (3,) unit vector to its middle.
        cosine: of the angle from the middle to the edge.
        rim: (24, 3) unit vectors along its edge.
    """

    direction: NDArray[np.float64]
    cosine: float
    rim: NDArray[np.float64]


def cap_around(down: float, back: float, degrees: float) -> Cap:
    """The cap within `degrees` of the direction (0, down, back)."""
    direction = np.array((0.0, down, back)) / math.hypot(down, back)
    second, third = np.array((1.0, 0.0, 0.0)), np.array((0.0, -direction[2], direction[1]))
    radius, height = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return Cap(direction, height, height * direction + radius * (CIRCLE[:, :1] * second + CIRCLE[:, 1:] * third))


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

    def ellipsoid(self, center: NDArray[np.float64], axes: NDArray[np.float64]) -> Points:
        """Silhouette (24, 2) of an ellipsoid whose axes are those of the head."""
        scaled = self.linear * axes
        # the silhouette of a linear image of the unit sphere is the ellipse of its Gram matrix
        a, b, c = float(scaled[0] @ scaled[0]), float(scaled[0] @ scaled[1]), float(scaled[1] @ scaled[1])
        first = math.sqrt(a + 1e-9)
        lower = np.array(((first, b / first), (0.0, math.sqrt(max(c - b * b / (a + 1e-9), 0.0) + 1e-9))), np.float32)
        return self.project(center[None]) + CIRCLE @ lower

    def skull(self, volume: float = 1.0) -> Points:
        """Silhouette (24, 2) of the skull enlarged by `volume`."""
        return self.ellipsoid(SKULL_CENTER, AXES * volume)

    def ball(self, center: NDArray[np.float64], radius: float) -> Points:
        """Outline (24, 2) of a ball in local units."""
        return self.project(center[None]) + CIRCLE * np.float32(radius * self.size)

    def away(self) -> NDArray[np.float64]:
        """The line of sight (3,) as a unit vector of the skull scaled to a sphere."""
        direction: NDArray[np.float64] = self.rotation[2] / AXES
        return direction / math.sqrt(float(direction @ direction))

    def cap(self, cap: Cap, volume: float = 1.0) -> Points | None:
        """Outline (M, 2) around what is in sight of a part of the skull enlarged by `volume`; None if nothing is."""
        away = self.away()
        silhouette = _circle_across(away)
        seen = np.concatenate((cap.rim[cap.rim @ away <= 0], silhouette[silhouette @ cap.direction > cap.cosine]))
        return hull(self.project(SKULL_CENTER + AXES * volume * seen)) if len(seen) > 2 else None

    def keypoints(self) -> Points:
        """Nose, eyes and ears (5, 2), COCO order, frame pixel indices."""
        return self.project(LANDMARKS)


def _circle_across(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors (24, 3) perpendicular to a unit vector (3,)."""
    x, y, z = axis.tolist()
    if abs(x) > 0.9:
        width = math.hypot(x, y)
        first, second = (y / width, -x / width, 0.0), (x * z / width, y * z / width, -width)
    else:
        width = math.hypot(y, z)
        first, second = (0.0, z / width, -y / width), (width, -x * y / width, -x * z / width)
    circle: NDArray[np.float64] = CIRCLE[:, :1] * np.array(first) + CIRCLE[:, 1:] * np.array(second)
    return circle


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

"""Where a clip takes place: a level camera, a wall and a floor, and what a sensor adds to each frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.random import Generator

from danet.scenes import parts
from danet.scenes.background import clutter
from danet.scenes.camera import Camera
from danet.scenes.canvas import Brush, Canvas, Light, hull, paint, sample_light
from danet.scenes.sampling import below, between, pick
from danet.scenes.textures import BANK_SIDE, PATTERNS, Image, cloth, grain_bank, muted, noise_crop, ramp, resized

FOCAL = 1.4
"""Focal length, frame heights: 40 degrees from top to bottom."""
HORIZON = 0.30
"""Row of the horizon, frame heights."""
EYE_LEVEL = 1.35
"""Height of the camera, metres."""
WALL = 8.5
"""Distance to the wall behind, metres."""


@dataclass(frozen=True)
class View:
    """A camera at EYE_LEVEL that looks level along z, for a frame of `height` x `width` pixels."""

    height: int
    width: int

    @property
    def focal(self) -> float:
        """Focal length, pixels."""
        return FOCAL * self.height

    def column(self, x: float, z: float) -> float:
        """Pixel column of a point at x, z metres."""
        return self.width / 2 + self.focal * x / z

    def row(self, up: float, z: float) -> float:
        """Pixel row of a point `up` metres above the ground at z."""
        return HORIZON * self.height + self.focal * (EYE_LEVEL - up) / z

    def reach(self, z: float) -> float:
        """Metres from the middle of the picture to its side at z."""
        return z * self.width / (2 * self.focal)

    def camera(self, x: float, z: float, up: float, tall: float) -> Camera:
        """For a body of `tall` metres with its hips at x, z, `up`."""
        return Camera(self.focal * tall / z, (self.column(x, z), self.row(up, z)), z / tall)

    def aside(self, x: float, z: float) -> float:
        """Degrees by which a person at x, z is seen from the side: what to add to yaw."""
        return math.degrees(math.atan2(x, z))

    def from_above(self, up: float, z: float) -> float:
        """Degrees by which a point `up` above the ground is seen from above."""
        return math.degrees(math.atan2(EYE_LEVEL - up, z))


def steady_light(rng: Generator) -> Light:
    """Light under which no side of a person is black."""
    light = sample_light(rng)
    while light.profiles.mean() < 105:
        light = sample_light(rng)
    return light


def backdrop(rng: Generator, view: View, light: Light) -> Image:
    """Wall and floor (H, W, 3) uint8 BGR of middling brightness, with pale clutter on the wall."""
    floor = min(view.height - 1, int(view.row(0.0, WALL)))
    image = np.concatenate(
        (_surface(rng, floor, view.width, 0.35), _surface(rng, view.height - floor, view.width, 0.2))
    )
    busy = image.copy()
    clutter(Canvas(busy[:floor], np.zeros((floor, view.width), np.uint16)), light, rng)
    pale = cv2.addWeighted(image, 0.45, busy, 0.55, 0).astype(np.uint8, copy=False)
    return cv2.GaussianBlur(pale, (3, 3), 0.8).astype(np.uint8, copy=False)


def _surface(rng: Generator, height: int, width: int, uneven: float) -> Image:
    """A colour neither dark nor bright under soft noise."""
    target, color = between(rng, 95, 185), np.array(muted(rng), np.float64)
    color += target - color.mean()
    noise = noise_crop(rng, max(1, height // 2), max(1, width // 2), between(rng, 1.5, 6))
    low, high = (np.clip(color * factor, 20, 235).astype(int).tolist() for factor in (1 - uneven, 1 + uneven))
    return resized(cv2.applyColorMap(noise, ramp(tuple(low), tuple(high))).astype(np.uint8), width, height)


@dataclass(frozen=True, eq=False)
class Pillar:
    """Something upright in the foreground.

    Args:
        z: its distance, metres.
        left: first column.
        rows: how many rows it covers, from the top.
        image: (rows, columns, 3) uint8 BGR.
    """

    z: float
    left: int
    rows: int
    image: Image

    def draw(self, canvas: Canvas) -> None:
        """Covers what was drawn so far."""
        right = self.left + self.image.shape[1]
        canvas.image[: self.rows, self.left : right] = self.image
        canvas.ids[: self.rows, self.left : right] = parts.OBJECT


def sample_pillar(rng: Generator, view: View, light: Light, post: tuple[float, float, float]) -> Pillar:
    """A pillar; `post` is its middle's x and z and its breadth, metres."""
    x, z, breadth = post
    left, right = (int(np.clip(view.column(x + side * breadth / 2, z), 0, view.width)) for side in (-1, 1))
    rows = int(np.clip(view.row(0.0, z), 1, view.height))
    surface = cloth(rng, muted(rng), muted(rng), pick(rng, PATTERNS))
    columns = max(1, right - left)
    canvas = Canvas(np.zeros((rows, columns, 3), np.uint8), np.zeros((rows, columns), np.uint16))
    outline = hull(np.array(((-9, -9), (columns + 9, -9), (columns + 9, rows + 9), (-9, rows + 9))))
    paint(canvas, outline, (0.0, 1.0), Brush(surface, light, 220 / view.height), parts.OBJECT, rng)
    return Pillar(z, left, rows, canvas.image)


@lru_cache(maxsize=1)
def _shade() -> Image:
    """A soft spot (32, 64) uint8: 255 at the rim, darker in the middle."""
    y, x = np.mgrid[-1:1:32j, -1:1:64j]
    spot: Image = (255 * (1 - 0.4 * np.clip(1 - np.hypot(x, y), 0, 1) ** 0.8)).astype(np.uint8)
    return spot


def draw_shadow(canvas: Canvas, view: View, camera: Camera, tall: float) -> None:
    """Darkens the floor below a person of `tall` metres."""
    z = camera.distance * tall
    x, y = camera.center[0], view.row(0.0, z)
    across = 0.2 * camera.scale
    along = across * EYE_LEVEL / z
    left, top, right, bottom = (round(edge) for edge in (x - across, y - along, x + across, y + along))
    low_x, low_y, high_x, high_y = max(left, 0), max(top, 0), min(right, view.width), min(bottom, view.height)
    if low_x >= high_x or low_y >= high_y:
        return
    spot = resized(_shade(), right - left, bottom - top)[low_y - top : high_y - top, low_x - left : high_x - left]
    floor = canvas.image[low_y:high_y, low_x:high_x]
    cv2.multiply(floor, cv2.merge((spot, spot, spot)), dst=floor, scale=1 / 255)


@lru_cache(maxsize=2)
def _wide_grain(height: int, width: int) -> Image:
    """Noise for any frame of this size: the bank repeated so that any crop of it fits."""
    rows, columns = -(-height // BANK_SIDE) + 1, -(-width // BANK_SIDE) + 1
    wide: Image = np.tile(grain_bank(), (rows, columns, 1))
    return wide


def grained(image: Image, strength: float, rng: Generator) -> Image:
    """A new picture with sensor noise; `strength` 1 is a standard deviation of 40."""
    height, width = image.shape[:2]
    top, left = below(rng, BANK_SIDE), below(rng, BANK_SIDE)
    grain = _wide_grain(height, width)[top : top + height, left : left + width]
    return cv2.addWeighted(image, 1, grain, strength, -128 * strength).astype(np.uint8, copy=False)

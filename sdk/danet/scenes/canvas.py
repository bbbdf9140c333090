"""The picture under work and the id buffer that remembers what was drawn last at each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from danet.scenes.sampling import below, between
from danet.scenes.textures import TILE, Color, Image, Material, resized

Points = NDArray[np.float32]
"""Outlines (M, 2), frame pixel indices."""

SHIFT = 4
"""Fractional bits of the coordinates that OpenCV's drawing functions take."""

SMALLEST_TEXTURED = 6
"""Pixels of breadth below which a part gets one flat colour."""

PROFILES = 17


@dataclass(frozen=True)
class Light:
    """Shading across a rounded part, for directions of its cross axis relative to the light.

    Args:
        direction: unit x, y of where the light comes from, in the picture.
        profiles: (PROFILES, 32, 3) uint8, 128 leaves the colour as it is.
    """

    direction: tuple[float, float]
    profiles: Image

    def across(self, x: float, y: float) -> Image:
        """The profile (1, 32, 3) of a part whose cross axis points to x, y."""
        cosine = x * self.direction[0] + y * self.direction[1]
        index = round((cosine + 1) / 2 * (PROFILES - 1))
        return self.profiles[index : index + 1]


def sample_light(rng: Generator) -> Light:
    """Light from anywhere, mostly above, hard or soft."""
    angle = -np.pi / 2 + float(rng.normal(0, 0.9))
    ambient, frontal = between(rng, 0.45, 0.8), between(rng, 0.15, 0.9)
    cosines = np.linspace(-1, 1, PROFILES)[:, None]
    across = np.linspace(-0.97, 0.97, 32)[None, :]
    diffuse = np.maximum(0, across * cosines + np.sqrt(1 - across**2) * frontal) / np.hypot(1, frontal)
    shade = np.clip(128 * (ambient + (1.22 - ambient) * diffuse), 0, 255).astype(np.uint8)
    return Light((float(np.cos(angle)), float(np.sin(angle))), np.repeat(shade[:, :, None], 3, axis=2))


@dataclass(frozen=True)
class Canvas:
    """Image (H, W, 3) uint8 BGR, and ids (H, W) uint16 as in `parts`."""

    image: Image
    ids: NDArray[np.uint16]

    def id_at(self, x: float, y: float) -> int | None:
        """The id at the pixel nearest to x, y (pixel indices); None outside the frame."""
        column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        height, width = self.ids.shape
        return int(self.ids[row, column]) if 0 <= row < height and 0 <= column < width else None


def fixed(points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Pixel indices (K, 2) in OpenCV's fixed point."""
    vertices: NDArray[np.int32] = np.rint(points * (1 << SHIFT)).astype(np.int32)
    return vertices


def hull(points: NDArray[np.floating]) -> Points:
    """Convex outline (M, 2) of points (K, 2)."""
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float32, copy=False)


def fill(canvas: Canvas, outline: Points, color: Color, code: int) -> None:
    """Fills a convex outline (M, 2) with one colour and writes its id."""
    vertices = fixed(outline)
    cv2.fillConvexPoly(canvas.image, vertices, color, cv2.LINE_AA, SHIFT)
    cv2.fillConvexPoly(canvas.ids, vertices, code, cv2.LINE_8, SHIFT)


@dataclass(frozen=True)
class Brush:
    """How to cover an outline.

    Args:
        material: the surface.
        light: the scene's light.
        texels: texels of the material per frame pixel.
    """

    material: Material
    light: Light
    texels: float


def paint(canvas: Canvas, outline: Points, axis: tuple[float, float], brush: Brush, code: int, rng: Generator) -> None:
    """Covers a convex outline (M, 2) with a shaded texture that runs along the unit vector `axis`."""
    frame_height, frame_width = canvas.ids.shape
    left, top, width, height = cv2.boundingRect(outline)
    right, bottom = min(frame_width, left + width + 1), min(frame_height, top + height + 1)
    left, top = max(0, left - 1), max(0, top - 1)
    if left >= right or top >= bottom:
        return
    blue, green, red = brush.material.mean
    fill(canvas, outline, (blue * 3 // 4, green * 3 // 4, red * 3 // 4), code)
    if min(width, height) < SMALLEST_TEXTURED:
        return
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillConvexPoly(mask, fixed(outline - np.array((left, top), np.float32)), 255, cv2.LINE_AA, SHIFT)
    # only pixels that are covered whole: the smooth edge of `fill` stays around them
    cv2.threshold(mask, 254, 255, cv2.THRESH_BINARY, dst=mask)
    tile, to_frame = _shaded_tile(outline, axis, brush, rng)
    to_frame[:, 2] -= (left, top)
    covering = cv2.warpAffine(tile, to_frame, (right - left, bottom - top))
    cv2.copyTo(covering, mask, canvas.image[top:bottom, left:right])


def _shaded_tile(
    outline: Points, axis: tuple[float, float], brush: Brush, rng: Generator
) -> tuple[Image, NDArray[np.float64]]:
    """A lit piece of the texture and the matrix (2, 3) that lays it over the outline's oriented box."""
    # rows: across (the axis turned by a quarter), along
    basis = np.array(((-axis[1], axis[0]), (axis[0], axis[1])))
    turned = outline @ basis.T
    low = turned.min(axis=0)
    breadth, length = (turned.max(axis=0) - low + 1e-3).tolist()
    rows = min(TILE, max(6, int(length * brush.texels)))
    columns = min(TILE, max(8, int(breadth * brush.texels)))
    top, left = below(rng, TILE - rows + 1), below(rng, TILE - columns + 1)
    piece = brush.material.texture[top : top + rows, left : left + columns]
    profile = resized(brush.light.across(-axis[1], axis[0]), columns, rows)
    tile = cv2.multiply(piece, profile, scale=1 / 128).astype(np.uint8, copy=False)
    # the outline lies within the middles of the tile's outer texels, so that no border is blended in
    wide, long = breadth / (columns - 1), length / (rows - 1)
    offset = low @ basis
    (across_x, across_y), (along_x, along_y) = (-axis[1], axis[0]), axis
    to_frame = np.array(((across_x * wide, along_x * long, offset[0]), (across_y * wide, along_y * long, offset[1])))
    return tile, to_frame

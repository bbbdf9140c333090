"""Paints one person's parts: the canvas, the light, the camera's scale and the person's ids together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from danet.scenes import parts
from danet.scenes.camera import Camera
from danet.scenes.canvas import Brush, Canvas, Light, Points, fill, hull, paint
from danet.scenes.head import CIRCLE
from danet.scenes.solids import Solid
from danet.scenes.textures import TEXELS, Color, Material


@dataclass(frozen=True)
class Painter:
    """Draws outlines that belong to person number `person`.

    Args:
        canvas: where to draw.
        light: the scene's light.
        camera: the person's camera.
        person: the person's index, from 0.
        rng: draws the places in the textures.
    """

    canvas: Canvas
    light: Light
    camera: Camera
    person: int
    rng: Generator

    def textured(self, outline: Points, axis: tuple[float, float], surface: Material, part: int) -> None:
        """Covers a convex outline (M, 2) with a lit surface."""
        brush = Brush(surface, self.light, TEXELS / self.camera.scale)
        paint(self.canvas, outline, axis, brush, parts.code(self.person, part), self.rng)

    def flat(self, outline: Points, color: Color, part: int) -> None:
        """Covers a convex outline (M, 2) with one colour."""
        fill(self.canvas, outline, color, parts.code(self.person, part))

    def projected(self, solids: Sequence[Solid]) -> list[tuple[Points, tuple[float, float]]]:
        """Outline (M, 2), frame pixel indices, and texture axis of each solid, all projected at once."""
        centers = np.concatenate([solid.centers for solid in solids])
        middles = self.camera.project(centers)
        radii = np.concatenate([solid.radii for solid in solids]) * self.camera.factors(centers)
        rims = (middles[:, None] + radii[:, None, None] * CIRCLE[::2]).astype(np.float32)
        made, start = [], 0
        for solid in solids:
            end = start + len(solid.radii)
            x, y = (middles[end - 1] - middles[start]).tolist()
            made.append((hull(rims[start:end].reshape(-1, 2)), _unit(x, y)))
            start = end
        return made


def _unit(x: float, y: float) -> tuple[float, float]:
    length = math.hypot(x, y)
    return (x / length, y / length) if length > 1e-6 else (0.0, 1.0)

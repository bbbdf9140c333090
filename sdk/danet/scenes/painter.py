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

    def solids(self, solids: Sequence[Solid]) -> list[Points]:
        """Outlines (M, 2) of solids in the frame, all projected at once."""
        centers = np.concatenate([solid.centers for solid in solids])
        radii = np.concatenate([solid.radii for solid in solids]) * self.camera.factors(centers)
        rims = self.camera.project(centers)[:, None] + radii[:, None, None] * CIRCLE[::2]
        ends = np.cumsum([len(solid.radii) for solid in solids]).tolist()
        starts = [0, *ends[:-1]]
        return [hull(rims[start:end].reshape(-1, 2)) for start, end in zip(starts, ends, strict=True)]

    def solid(self, solid: Solid, outline: Points) -> None:
        """Covers a solid's outline, its texture running from the first ball to the last."""
        first, last = self.camera.project(solid.centers[[0, -1]])
        x, y = float(last[0] - first[0]), float(last[1] - first[1])
        length = math.hypot(x, y)
        axis = (x / length, y / length) if length > 1e-6 else (0.0, 1.0)
        self.textured(outline, axis, solid.material, solid.part)

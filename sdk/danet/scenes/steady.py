"""One person who looks the same in each frame: body, clothes, and textures that stay where they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from danet.scenes.canvas import Canvas, Light, Points
from danet.scenes.face import Expression, sample_expression
from danet.scenes.figure import Figure, draw_parts
from danet.scenes.motion import Stance
from danet.scenes.outfit import Outfit, sample_outfit
from danet.scenes.painter import Painter
from danet.scenes.sampling import between
from danet.scenes.skeleton import Build, pose_skeleton, sample_build
from danet.scenes.stage import View
from danet.scenes.textures import Image, Material

CONTRAST = 38
"""Grey levels between the clothes and what is behind them, at least."""


@dataclass(frozen=True)
class Person:
    """Who is in a clip.

    Args:
        build: proportions.
        tall: standing height, metres.
        outfit: clothes, hair.
        expression: of the face.
        seed: of the places in the textures.
    """

    build: Build
    tall: float
    outfit: Outfit
    expression: Expression
    seed: int

    def figure(self, stance: Stance, view: View) -> Figure:
        """The person as the camera sees a stance.

        Turning the body by the direction it is seen from makes `Camera`, which knows no place in the
        picture, agree with one pinhole camera for all persons to first order in their depth.
        """
        yaw, pitch, roll = stance.pose.root
        pose = replace(stance.pose, root=(yaw + view.aside(stance.x, stance.z), pitch, roll))
        skeleton = pose_skeleton(self.build, pose, view.from_above(stance.height, stance.z))
        camera = view.camera(stance.x, stance.z, stance.height, self.tall)
        return Figure(pose, skeleton, self.outfit, camera)


def sample_person(rng: Generator, backdrop: Image) -> Person:
    """An adult in shorts at least, with clothes that are mostly told from the backdrop (H, W, 3)."""
    build = sample_build(rng)
    while build.head > 0.145:
        build = sample_build(rng)
    behind = float(np.median(backdrop.mean(axis=2)))
    outfit = sample_outfit(rng)
    for _ in range(60):
        if _stands_out(outfit, behind):
            break
        outfit = sample_outfit(rng)
    seed = int(rng.integers(2**32))
    return Person(build, between(rng, 1.58, 1.84), outfit, sample_expression(rng), seed)


def _stands_out(outfit: Outfit, behind: float) -> bool:
    top, bottom, skin = (_gray(surface) for surface in (outfit.top, outfit.bottom, outfit.skin))
    decent = max(top, bottom) > 60 and outfit.skirt < 0.45 and outfit.leg > 0.24
    return decent and min(abs(top - behind), abs(bottom - behind)) > CONTRAST and abs(skin - behind) > CONTRAST / 3


def _gray(surface: Material) -> float:
    blue, green, red = surface.mean
    return 0.114 * blue + 0.587 * green + 0.299 * red


@dataclass(frozen=True)
class SteadyPainter(Painter):
    """Draws the places in the textures anew from each part's own seed.

    They then neither depend on the order of the parts, which changes as limbs pass each other, nor on
    how many there are.
    """

    restart: Callable[[int], Generator]

    def textured(self, outline: Points, axis: tuple[float, float], surface: Material, part: int) -> None:
        """Covers a convex outline (M, 2) with a lit surface."""
        fixed = Painter(self.canvas, self.light, self.camera, self.person, self.restart(part))
        fixed.textured(outline, axis, surface, part)


def draw_person(canvas: Canvas, person: Person, figure: Figure, light: Light, index: int) -> None:
    """Draws all parts from far to near, under the ids of person number `index`, as `draw_figure` does."""
    rng = np.random.default_rng(0)
    painter = SteadyPainter(canvas, light, figure.camera, index, rng, lambda part: _part_rng(person.seed, part))
    draw_parts(painter, figure, person.expression)


def _part_rng(seed: int, part: int) -> Generator:
    return np.random.default_rng((seed, part))

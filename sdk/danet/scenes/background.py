"""What is behind the persons, and now and then in front of them: noise, clutter, furniture, bars."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from danet.scenes.canvas import SHIFT, Brush, Canvas, Light, Points, fill, fixed, hull, paint
from danet.scenes.head import CIRCLE
from danet.scenes.sampling import below, between, coin, pick
from danet.scenes.textures import (
    PATTERNS,
    Color,
    Image,
    Material,
    cloth,
    cloth_color,
    muted,
    noise_crop,
    ramp,
    resized,
    skin,
    vivid,
)


def background(rng: Generator, size: tuple[int, int]) -> Image:
    """A picture (H, W, 3) uint8 BGR of surfaces: wall, sky or foliage, and often a floor."""
    height, width = size
    image = _surface(rng, height, width)
    if coin(rng, 0.6):
        horizon = int(height * between(rng, 0.3, 0.9))
        image[horizon:] = _surface(rng, height - horizon, width)
    return image


def _surface(rng: Generator, height: int, width: int) -> Image:
    """A gradient under coloured noise; large ones are enlarged, which costs less than to mix all pixels."""
    factor = max(1, max(height, width) // 600)
    small = _mixture(rng, max(1, height // factor), max(1, width // factor))
    return small if factor == 1 else resized(small, width, height)


def _mixture(rng: Generator, height: int, width: int) -> Image:
    corners = np.array([muted(rng) for _ in range(4)], np.uint8).reshape(2, 2, 3)
    gradient = resized(corners, width, height)
    if coin(rng, 0.15):
        return gradient
    colored = cv2.applyColorMap(noise_crop(rng, height, width), ramp(muted(rng), muted(rng)))
    return cv2.addWeighted(gradient, 1 - (share := between(rng, 0.1, 1.0)), colored, share, 0).astype(np.uint8)


def clutter(canvas: Canvas, light: Light, rng: Generator) -> None:
    """Polygons, ellipses, lines, marks like text, boxes and limb-like bars, few or many."""
    density = between(rng, 0, 1) ** 1.5
    surfaces = [_surface_material(rng) for _ in range(2)]
    for _ in range(int(2 + 22 * density)):
        kind = pick(rng, _KINDS, _KIND_WEIGHTS)
        if kind == "bar":
            _bar(canvas, light, pick(rng, surfaces), rng)
        elif kind == "slab":
            _slab(canvas, light, pick(rng, surfaces), rng)
        elif kind == "lines":
            _lines(canvas, rng)
        elif kind == "text":
            _text(canvas, rng)
        else:
            fill(canvas, _blob(canvas, rng), muted(rng), 0)


_KINDS = ("blob", "bar", "slab", "lines", "text")
_KIND_WEIGHTS = (4, 3, 3, 2, 1)


def _surface_material(rng: Generator) -> Material:
    if coin(rng, 0.3):
        return skin(rng)
    return cloth(rng, muted(rng), muted(rng), pick(rng, PATTERNS))


def _anywhere(canvas: Canvas, rng: Generator) -> NDArray[np.float64]:
    height, width = canvas.ids.shape
    return np.array((between(rng, -0.05, 1.05) * width, between(rng, -0.05, 1.05) * height))


def _reach(canvas: Canvas, rng: Generator) -> float:
    """A random size in pixels, small ones more often."""
    return float(min(canvas.ids.shape) * 2 ** between(rng, -5.5, -1.2))


def _blob(canvas: Canvas, rng: Generator) -> Points:
    """A convex polygon or an ellipse."""
    center, reach = _anywhere(canvas, rng), _reach(canvas, rng)
    if coin(rng, 0.5):
        return hull(center + reach * rng.normal(size=(4 + below(rng, 4), 2)))
    turn = between(rng, 0, math.pi)
    axes = np.array((reach, reach * between(rng, 0.3, 1)))
    cosine, sine = math.cos(turn), math.sin(turn)
    return hull(center + (CIRCLE * axes) @ np.array(((cosine, sine), (-sine, cosine))))


def _brush(canvas: Canvas, light: Light, surface: Material, rng: Generator) -> Brush:
    return Brush(surface, light, between(rng, 100, 400) / max(canvas.ids.shape))


def _bar(canvas: Canvas, light: Light, surface: Material, rng: Generator) -> None:
    """A rounded bar, at times jointed: what a network could take for a limb."""
    start, reach = _anywhere(canvas, rng), _reach(canvas, rng)
    angle, thickness = between(rng, 0, 2 * math.pi), between(rng, 0.06, 0.22)
    for _ in range(1 + below(rng, 3)):
        axis = (math.cos(angle), math.sin(angle))
        end = start + 1.6 * reach * np.array(axis)
        rims = (point + thickness * reach * factor * CIRCLE[::2] for point, factor in ((start, 1.0), (end, 0.75)))
        paint(canvas, hull(np.concatenate(list(rims))), axis, _brush(canvas, light, surface, rng), 0, rng)
        start, angle, thickness = end, angle + float(rng.normal(0, 0.8)), 0.75 * thickness


def _slab(canvas: Canvas, light: Light, surface: Material, rng: Generator) -> None:
    """An upright box like furniture: front, and a lid lighter or darker."""
    center, reach = _anywhere(canvas, rng), 1.3 * _reach(canvas, rng)
    half = np.array((reach * between(rng, 0.3, 1.2), reach * between(rng, 0.2, 1)))
    corners = center + half * np.array(((-1, -1), (1, -1), (1, 1), (-1, 1)))
    paint(canvas, hull(corners), (0.0, 1.0), _brush(canvas, light, surface, rng), 0, rng)
    if coin(rng, 0.5):
        slope = half * np.array((between(rng, -0.4, 0.4), -between(rng, 0.1, 0.4)))
        lid = np.stack((corners[0], corners[1], corners[1] + slope, corners[0] + slope))
        fill(canvas, hull(lid), muted(rng), 0)


def _lines(canvas: Canvas, rng: Generator) -> None:
    """Parallel lines: slats, cables, tiles."""
    start, step = _anywhere(canvas, rng), _reach(canvas, rng) * 0.3 * rng.normal(size=2)
    along = _reach(canvas, rng) * 2.5 * rng.normal(size=2)
    thickness, color = 1 + below(rng, 3), vivid(rng) if coin(rng, 0.3) else muted(rng)
    starts = start + step * np.arange(1 + below(rng, 9))[:, None]
    vertices = fixed(np.stack((starts, starts + along), axis=1).reshape(-1, 2))
    cv2.polylines(canvas.image, list(vertices.reshape(-1, 2, 2)), False, color, thickness, cv2.LINE_AA, SHIFT)


def _text(canvas: Canvas, rng: Generator) -> None:
    """Letters without a meaning."""
    letters = "".join(chr(48 + below(rng, 75)) for _ in range(2 + below(rng, 6)))
    x, y = _anywhere(canvas, rng).astype(int).tolist()
    scale, color = _reach(canvas, rng) / 25, cloth_color(rng)
    cv2.putText(canvas.image, letters, (x, y), below(rng, 8), scale, color, 1 + int(scale * 2), cv2.LINE_AA)


def cover(canvas: Canvas, light: Light, rng: Generator, near: tuple[float, float], reach: float, code: int) -> None:
    """An object in front: a table's edge, a pole, a box or a ball.

    Args:
        canvas: where to draw.
        light: the scene's light.
        rng: draws the object.
        near: x, y around which it is put, frame pixel indices.
        reach: its size, pixels.
        code: its number in the id buffer.
    """
    surface = _surface_material(rng)
    center = np.array(near) + 0.5 * reach * rng.normal(size=2)
    kind = pick(rng, ("table", "pole", "box", "ball"))
    outline = {
        "table": center + reach * np.array(((-3, 0), (3, 0), (3, 3), (-3, 3))),
        "pole": center + reach * np.array(((-0.12, -5), (0.12, -5), (0.12, 5), (-0.12, 5))),
        "box": center + reach * rng.uniform(0.3, 1.0, (1, 2)) * np.array(((-1, -1), (1, -1), (1, 1), (-1, 1))),
        "ball": center + 0.6 * reach * CIRCLE,
    }[kind]
    axis: tuple[float, float] = (1.0, 0.0) if kind == "table" else (0.0, 1.0)
    paint(canvas, hull(outline), axis, _brush(canvas, light, surface, rng), code, rng)


def seat(canvas: Canvas, light: Light, rng: Generator, hips: tuple[float, float], scale: float, code: int) -> None:
    """A box to sit on.

    Args:
        canvas: where to draw.
        light: the scene's light.
        rng: draws the box.
        hips: x, y of who sits, frame pixel indices.
        scale: pixels per standing height.
        code: its number in the id buffer.
    """
    width, depth = between(rng, 0.1, 0.4), between(rng, 0.12, 0.4)
    corners = np.array(((-width, 0.04), (width, 0.04), (width, depth), (-width, depth))) * scale + np.array(hips)
    paint(canvas, hull(corners), (0.0, 1.0), _brush(canvas, light, _surface_material(rng), rng), code, rng)


def tint(rng: Generator) -> Color:
    """A light's colour: near white, warm or cold."""
    warmth = float(rng.normal(0, 14))
    return int(255 - max(warmth, 0) * 1.5), 255 - int(abs(warmth) * 0.4), int(255 + min(warmth, 0) * 1.5)

"""Where persons stand in the frame: whole, small, or so near that the frame cuts them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from danet.scenes.figure import Figure, figure_keypoints, sample_figure
from danet.scenes.sampling import between, coin, pick

MODES = ("whole", "near", "small")

FRONT_INSIDE = 9
"""Keypoints of the person in front that lie in the frame, at least."""


def sample_placed(rng: Generator, size: tuple[int, int], persons: int) -> list[Figure]:
    """`persons` figures in a frame of (height, width), from the front to the back.

    Those that fill most of the frame stand in front. A sitting person can so be of a larger scale than one who
    stands before it.
    """
    figures = [sample_figure(rng) for _ in range(persons)]
    scales = sorted((_scale_share(rng, index == 0) for index in range(persons)), reverse=True)
    placed: list[Figure] = []
    for index, (figure, share) in enumerate(zip(figures, scales, strict=True)):
        near = placed[0] if placed and coin(rng, 0.3) else None
        placed.append(_place(rng, figure, size, share, near))
        if index == 0 and _count_inside(placed[0], size) < FRONT_INSIDE:
            placed[0] = _centered(rng, figure, size)
    return placed


def _scale_share(rng: Generator, main: bool) -> float:
    """Figure over frame; above 1 the frame cuts the figure. The main figure is seldom small."""
    mode = pick(rng, MODES, (6, 2.6, 0.3 if main else 2.5))
    if mode == "whole":
        return between(rng, 0.45, 0.98)
    return float(2 ** between(rng, 0, 1.5)) if mode == "near" else float(2 ** between(rng, -2.6, -1.1))


def _place(rng: Generator, figure: Figure, size: tuple[int, int], share: float, near: Figure | None) -> Figure:
    height, width = size
    low, high = _extent(figure)
    extent = np.maximum(high - low, 0.2)
    scale = share * min(height / extent[1], width / extent[0])
    # a person near the camera fills the frame even where it is wide: the head stays in
    middle = (low + high) / 2 * scale
    if share > 1:
        return _cut(rng, figure, size, scale)
    span_x, span_y = extent * scale
    if near is not None:
        # beside the person in front, partly behind
        aside = pick(rng, (-1, 1)) * (0.12 + abs(float(rng.normal(0, 0.22))))
        x = near.camera.center[0] + aside * near.camera.scale
    else:
        x = between(rng, 0.4 * span_x, max(width - 0.4 * span_x, 0.4 * span_x + 1))
    y = between(rng, 0.45 * span_y, max(height - 0.45 * span_y, 0.45 * span_y + 1))
    x, y = float(np.clip(x, 0.1 * width, 0.9 * width)), float(np.clip(y, 0.1 * height, 0.9 * height))
    return _at(figure, scale, (x - middle[0], y - middle[1]))


def _cut(rng: Generator, figure: Figure, size: tuple[int, int], scale: float) -> Figure:
    """The head in the upper part of the frame, whatever is far from it outside."""
    height, width = size
    head = figure.camera.project(figure.skeleton.head_center[None])[0] * scale
    trunk = figure.camera.project(figure.skeleton.waist[None])[0] * scale
    # the trunk's direction in the picture says on which side of the frame the head has room
    toward = (trunk - head) / max(float(np.abs(trunk - head).max()), 1e-6)
    offset = np.array((between(rng, -0.22, 0.22), between(rng, 0.0, 0.12))) - toward * between(rng, 0.12, 0.33)
    target = (0.5 + offset) * (width, height)
    return _at(figure, scale, (float(target[0] - head[0]), float(target[1] - head[1])))


def _centered(rng: Generator, figure: Figure, size: tuple[int, int]) -> Figure:
    height, width = size
    low, high = _extent(figure)
    extent = np.maximum(high - low, 0.2)
    scale = between(rng, 0.6, 0.92) * min(height / extent[1], width / extent[0])
    middle = (low + high) / 2 * scale
    return _at(figure, scale, (width / 2 - middle[0], height / 2 - middle[1]))


def _at(figure: Figure, scale: float, center: tuple[float, float]) -> Figure:
    return replace(figure, camera=figure.camera.moved(scale, (float(center[0]), float(center[1]))))


def _extent(figure: Figure) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest x, y (2,) at unit scale, with a margin for what lies around the joints."""
    points = _unit_keypoints(figure)
    margin = 0.07
    return points.min(axis=0) - margin, points.max(axis=0) + margin


def _unit_keypoints(figure: Figure) -> NDArray[np.float64]:
    """Keypoints at unit scale; there `figure_keypoints` would round them to 1/64 of a body."""
    large = figure.camera.moved(1024.0, (0.0, 0.0))
    return figure_keypoints(replace(figure, camera=large)) / 1024.0


def _count_inside(figure: Figure, size: tuple[int, int]) -> int:
    points = figure_keypoints(figure)
    inside = ((points >= 0) & (points <= (size[1] - 1, size[0] - 1))).all(axis=1)
    return int(inside.sum())

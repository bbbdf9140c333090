"""Names beside points, where they cover neither each other nor a point nor a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""(N, 4): left, bottom, right, top in pixels."""

POINT = 5.0
"""Half the side of the square that a marker keeps free, points of 1/72 inch."""
NEAR = 7.5
_DISTANCES = (NEAR, 14.0, 24.0, 36.0)
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_PLACES = tuple((distance, *side) for distance, side in product(_DISTANCES, _SIDES))
_ALIGN_X = {1: "left", 0: "center", -1: "right"}
_ALIGN_Y = {1: "bottom", 0: "center", -1: "top"}


@dataclass(frozen=True)
class Label:
    """A name and its point in the units of the axes."""

    x: float
    y: float
    text: str
    color: str


def place_labels(figure: Figure, axes: Axes, labels: Sequence[Label], size: float = 8.0) -> None:
    """Write each label at the free place nearest to its point; the limits of the axes must stand.

    A label without text keeps its point free and writes nothing.
    """
    figure.draw_without_rendering()
    pixels = figure.dpi / 72
    points = [axes.transData.transform((label.x, label.y)) for label in labels]
    taken = [_around(point, POINT * pixels) for point in points]
    taken += [_around(point, 2 * pixels) for point in _along_lines(axes, POINT * pixels)]
    inside = np.array(axes.bbox.extents)
    for label, point in zip(labels, points, strict=True):
        if label.text:
            boxes = _candidates(point, _size(axes, label.text, size), pixels)
            best = _cheapest(boxes, np.array(taken), inside)
            taken.append(boxes[best])
            _write(axes, label, _PLACES[best], size)


def _candidates(point: NDArray[np.float64], size: NDArray[np.float64], pixels: float) -> Boxes:
    """Where a label of `size` (width, height) would lie at each of _PLACES."""
    sides = np.array([(x, y) for _, x, y in _PLACES])
    corners = point + np.array([_offset(place) for place in _PLACES]) * pixels + (sides - 1) / 2 * size
    return np.hstack([corners, corners + size])


def _cheapest(boxes: Boxes, taken: Boxes, inside: Boxes) -> int:
    """The candidate that covers least, leaves the axes least, and is nearest, in this order of weight."""
    covered = _overlaps(boxes, taken).sum(axis=1)
    outside = _areas(boxes) - _overlaps(boxes, inside[None])[:, 0]
    return int(np.argmin(covered + 4 * outside + np.array([distance for distance, _, _ in _PLACES])))


def _overlaps(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Shared area of each of (N, 4) with each of (M, 4): (N, M)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared: NDArray[np.float64] = np.prod(np.clip(high - low, 0, None), axis=2)
    return shared


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return areas


def _size(axes: Axes, text: str, size: float) -> NDArray[np.float64]:
    """Width and height in pixels."""
    written = axes.text(0.5, 0.5, text, fontsize=size, transform=axes.transAxes)
    extent = written.get_window_extent()
    written.remove()
    return np.array([extent.width, extent.height])


def _offset(place: tuple[float, int, int]) -> tuple[float, float]:
    distance, x, y = place
    shrink = 0.7 if x and y else 1.0  # the diagonals are no farther than the straight ways
    return x * distance * shrink, y * distance * shrink


def _write(axes: Axes, label: Label, place: tuple[float, int, int], size: float) -> None:
    distance, x, y = place
    line = {"arrowstyle": "-", "color": label.color, "linewidth": 0.5, "shrinkB": 4}
    text = axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=_offset(place),
        textcoords="offset points",
        ha=_ALIGN_X[x],
        va=_ALIGN_Y[y],
        fontsize=size,
        color=label.color,
        arrowprops=line if distance > NEAR else None,
    )
    text.set_in_layout(False)


def _along_lines(axes: Axes, step: float) -> Iterator[NDArray[np.float64]]:
    """Places on the lines of the axes, in pixels, about `step` apart."""
    for line in axes.lines:
        corners = line.get_transform().transform(line.get_xydata())
        for start, end in pairwise(corners):
            yield from np.linspace(start, end, max(2, int(np.hypot(*(end - start)) / step)))


def _around(point: NDArray[np.float64], half: float) -> NDArray[np.float64]:
    return np.hstack([point - half, point + half])

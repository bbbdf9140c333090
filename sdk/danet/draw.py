"""Skeletons on pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.frame import as_bgr

LEFT, RIGHT, MIDDLE = (255, 144, 30), (60, 76, 255), (80, 220, 90)
"""BGR of the person's left limbs, right limbs, and those that join both sides."""
OPAQUE_SCORE = 0.7
"""From this score on nothing shows through; a score of 0 would be drawn at a quarter."""
_SHIFT = 4
"""Fractional bits of OpenCV's drawing coordinates."""


def _side(names: tuple[str, ...], *indices: int) -> tuple[int, int, int]:
    prefixes = {names[index].split("_")[0] for index in indices} - {"nose"}
    if prefixes == {"left"}:
        return LEFT
    return RIGHT if prefixes == {"right"} else MIDDLE


def _fixed(point: NDArray[np.floating]) -> tuple[int, int]:
    """OpenCV's fixed-point form; clipped, since far-off points would overflow its 32 bits."""
    x, y = np.rint(np.clip(point, -(1 << 22), 1 << 22) * (1 << _SHIFT))
    return int(x), int(y)


def line_width(box: NDArray[np.floating], frame_height: int) -> int:
    """Line width in pixels that suits a person's box (4,) xyxy in a frame of that height."""
    height = min(float(box[3]) - float(box[1]), frame_height)
    return int(np.clip(round(height / 90), 1, 8))


def opacity(score: float) -> float:
    """How opaque a keypoint of a score in [0, 1] is drawn: 0.25 to 1."""
    return float(np.clip(0.25 + 0.75 * score / OPAQUE_SCORE, 0.25, 1.0))


def id_color(person: int) -> tuple[int, int, int]:
    """BGR of a tracked person: hues a golden section apart, so that neighbouring ids differ."""
    red, green, blue = colorsys.hsv_to_rgb(person * 0.618034 % 1, 0.75, 0.95)
    return int(255 * blue), int(255 * green), int(255 * red)


def draw_poses(
    frame: Any,
    keypoints: NDArray[np.float32],
    scores: NDArray[np.float32],
    boxes: NDArray[np.float32],
    names: tuple[str, ...],
    skeleton: tuple[tuple[int, int], ...],
    *,
    threshold: float = 0.2,
    with_boxes: bool = False,
    ids: NDArray[np.int64] | None = None,
) -> NDArray[np.uint8]:
    """A copy (H, W, 3) uint8 BGR of a frame with skeletons drawn on it; a limb is as opaque as its less sure end.

    Args:
        frame: (H, W, 3) uint8 BGR; also BGRA and grey; not changed.
        keypoints: (N, K, 2) float32, frame pixels.
        scores: (N, K) float32; keypoints below `threshold` or not finite are left out, with their limbs.
        boxes: (N, 4) float32 xyxy, frame pixels; they set the line width.
        names: of the keypoints; "left_..." and "right_..." set the colours.
        skeleton: pairs of keypoint indices.
        threshold: lowest score drawn.
        with_boxes: draw the boxes as well.
        ids: (N,), written at the boxes' upper left corners.

    Raises:
        InputError: a frame that cannot be used.
    """
    canvas = as_bgr(frame).copy()
    for row, (points, confidences, box) in enumerate(zip(keypoints, scores, boxes, strict=True)):
        color = (200, 200, 200) if ids is None else id_color(int(ids[row]))
        if with_boxes:
            cv2.rectangle(canvas, _fixed(box[:2] - 0.5), _fixed(box[2:] - 0.5), color, 1, cv2.LINE_AA, _SHIFT)
        _draw_person(canvas, points, confidences, line_width(box, canvas.shape[0]), names, skeleton, threshold)
        if ids is not None:
            _draw_label(canvas, str(int(ids[row])), box, color)
    return canvas


def _draw_person(
    canvas: NDArray[np.uint8],
    points: NDArray[np.float32],
    confidences: NDArray[np.float32],
    width: int,
    names: tuple[str, ...],
    skeleton: tuple[tuple[int, int], ...],
    threshold: float,
) -> None:
    shown = (confidences >= threshold) & np.isfinite(points).all(axis=1)
    for first, second in skeleton:
        if shown[first] and shown[second]:
            sure = opacity(float(min(confidences[first], confidences[second])))
            _draw_limb(canvas, points[[first, second]], _side(names, first, second), width, sure)
    for index in np.flatnonzero(shown):
        _draw_keypoint(canvas, points[index], _side(names, int(index)), width, opacity(float(confidences[index])))


def _draw_limb(
    canvas: NDArray[np.uint8], ends: NDArray[np.float32], color: tuple[int, int, int], width: int, sure: float
) -> None:
    def paint(part: NDArray[np.uint8], offset: NDArray[np.float64]) -> None:
        start, end = ends - offset
        cv2.line(part, _fixed(start), _fixed(end), color, width, cv2.LINE_AA, _SHIFT)

    _blend(canvas, ends, width + 2, sure, paint)


def _draw_keypoint(
    canvas: NDArray[np.uint8], point: NDArray[np.float32], color: tuple[int, int, int], width: int, sure: float
) -> None:
    radius = (width + 1) << _SHIFT

    def paint(part: NDArray[np.uint8], offset: NDArray[np.float64]) -> None:
        center = _fixed(point - offset)
        cv2.circle(part, center, radius, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(part, center, radius, color, max(1, width // 2), cv2.LINE_AA, _SHIFT)

    _blend(canvas, point[None], 2 * width + 4, sure, paint)


def _blend(
    canvas: NDArray[np.uint8],
    points: NDArray[np.float32],
    margin: int,
    sure: float,
    paint: Callable[[NDArray[np.uint8], NDArray[np.float64]], None],
) -> None:
    """Let `paint(part, offset)` draw on the part of the canvas around some points, mixed in by `sure`."""
    if sure >= 1:
        paint(canvas, np.zeros(2))
        return
    height, width = canvas.shape[:2]
    low = np.clip(np.floor(points.min(0)) - margin, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(points.max(0)) + margin, 0, (width, height)).astype(int)
    if (high <= low).any():
        return
    part = canvas[low[1] : high[1], low[0] : high[0]]
    over = part.copy()
    paint(over, low.astype(np.float64))
    cv2.addWeighted(over, sure, part, 1 - sure, 0, dst=part)


def _draw_label(canvas: NDArray[np.uint8], text: str, box: NDArray[np.float32], color: tuple[int, int, int]) -> None:
    """Text on a plate at the upper left corner of a box, kept inside the picture."""
    scale = max(0.4, 0.2 * line_width(box, canvas.shape[0]))
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    room = (canvas.shape[1] - width - 4, canvas.shape[0] - base - 3)
    x = int(np.clip(box[0], 0, max(room[0], 0)))
    y = int(np.clip(box[1], height + 3, max(room[1], height + 3)))
    cv2.rectangle(canvas, (x, y - height - 3), (x + width + 4, y + base + 1), color, -1)
    cv2.putText(canvas, text, (x + 2, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)

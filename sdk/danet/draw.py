"""Skeletons on pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LEFT, RIGHT, MIDDLE = (255, 144, 30), (60, 76, 255), (80, 220, 90)
"""BGR of the person's left limbs, right limbs, and those that join both sides."""
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


def draw_poses(
    frame: NDArray[np.uint8],
    keypoints: NDArray[np.float32],
    scores: NDArray[np.float32],
    boxes: NDArray[np.float32],
    names: tuple[str, ...],
    skeleton: tuple[tuple[int, int], ...],
    *,
    threshold: float = 0.2,
    with_boxes: bool = False,
) -> NDArray[np.uint8]:
    """A copy of a frame with skeletons drawn on it.

    Args:
        frame: (H, W, 3) uint8 BGR; not changed.
        keypoints: (N, K, 2) float32, frame pixels.
        scores: (N, K) float32; keypoints below `threshold` or not finite are left out, with their limbs.
        boxes: (N, 4) float32 xyxy, frame pixels; they set the line width.
        names: of the keypoints; "left_..." and "right_..." set the colours.
        skeleton: pairs of keypoint indices.
        threshold: lowest score drawn.
        with_boxes: draw the boxes as well.
    """
    canvas = np.ascontiguousarray(frame).copy()
    for points, confidences, box in zip(keypoints, scores, boxes, strict=True):
        width = line_width(box, frame.shape[0])
        if with_boxes:
            cv2.rectangle(canvas, _fixed(box[:2] - 0.5), _fixed(box[2:] - 0.5), (200, 200, 200), 1, cv2.LINE_AA, _SHIFT)
        shown = (confidences >= threshold) & np.isfinite(points).all(axis=1)
        for first, second in skeleton:
            if shown[first] and shown[second]:
                color = _side(names, first, second)
                cv2.line(canvas, _fixed(points[first]), _fixed(points[second]), color, width, cv2.LINE_AA, _SHIFT)
        for index in np.flatnonzero(shown):
            radius = (width + 1) << _SHIFT
            cv2.circle(canvas, _fixed(points[index]), radius, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)
            color = _side(names, int(index))
            cv2.circle(canvas, _fixed(points[index]), radius, color, max(1, width // 2), cv2.LINE_AA, _SHIFT)
    return canvas

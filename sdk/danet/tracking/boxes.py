"""From keypoints to the box of the next crop, and how boxes relate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MARGIN = 0.1
"""Of the longer side of the keypoints' extent, added on each side: where annotated boxes of people17 end
(median 0.12 of persons with 15 or more keypoints; 0.06 to 0.09 of rendered ones)."""


def keypoint_box(points: NDArray[np.floating], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Box (4,) float64 xyxy around the counted keypoints (K, 2) of a person, widened by `MARGIN`.

    The result is in edges where keypoints are pixel indices, hence the half pixel.
    """
    chosen = np.asarray(points, np.float64)[counted] + 0.5
    low, high = chosen.min(0), chosen.max(0)
    margin = max(MARGIN * float((high - low).max()), 1.0)
    return np.concatenate((low - margin, high + margin))


def iou(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union (N, M) float64 of boxes (N, 4) and others (M, 4), xyxy."""
    first, second = np.asarray(boxes, np.float64)[:, None], np.asarray(others, np.float64)[None]
    shared = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    overlap = np.clip(shared, 0, None).prod(-1)
    union = (first[..., 2:] - first[..., :2]).prod(-1) + (second[..., 2:] - second[..., :2]).prod(-1) - overlap
    return np.asarray(overlap / np.maximum(union, 1e-9), np.float64)


def share_inside(box: NDArray[np.floating], frame_size: tuple[int, int]) -> float:
    """Share of a box's area (4,) xyxy that lies in a frame of (height, width)."""
    height, width = frame_size
    sides = np.minimum(box[2:], (width, height)) - np.maximum(box[:2], 0)
    return float(np.clip(sides, 0, None).prod() / max(float((box[2:] - box[:2]).prod()), 1e-9))

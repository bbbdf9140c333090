"""Which pose belongs to which track: OKS, and IoU where too few keypoints are sure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from danet.oks import COCO_SIGMAS, oks
from danet.tracking.boxes import iou

ENOUGH = 4
"""Keypoints that both sides are sure of, from which OKS is trusted."""
IOU_WEIGHT = 0.8
"""Of IoU beside OKS, so that where both could decide the keypoints do."""


def sigmas_for(count: int) -> NDArray[np.float64]:
    """(count,) OKS sigmas: COCO's for its 17 keypoints, their mean for another layout."""
    return COCO_SIGMAS if count == len(COCO_SIGMAS) else np.full(count, COCO_SIGMAS.mean())


def similarity(
    points: NDArray[np.floating],
    sure: NDArray[np.bool_],
    boxes: NDArray[np.floating],
    other_points: NDArray[np.floating],
    other_sure: NDArray[np.bool_],
    other_boxes: NDArray[np.floating],
    tolerance: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """How alike persons (N) and others (M) are: (N, M) float64 in [0, 1].

    OKS over the keypoints that both are sure of where there are `ENOUGH`, judged by the mean of the two boxes'
    areas; else `IOU_WEIGHT` x IoU of the boxes.

    Args:
        points: (N, K, 2), frame pixels.
        sure: (N, K), which of them count.
        boxes: (N, 4) xyxy, frame pixels.
        other_points: (M, K, 2).
        other_sure: (M, K).
        other_boxes: (M, 4).
        tolerance: (N,) factors by which distances may be larger: sqrt of a factor on the area; 1 if not given.
    """
    if not len(points) or not len(other_points):
        return np.zeros((len(points), len(other_points)))
    overlap = IOU_WEIGHT * iou(boxes, other_boxes)
    areas = (_areas(boxes)[:, None] + _areas(other_boxes)[None]) / 2
    if tolerance is not None:
        areas = areas * np.square(tolerance)[:, None]
    sigmas = sigmas_for(points.shape[1])
    alike = np.empty_like(overlap)
    for column, (seen, area) in enumerate(zip(other_sure, areas.T, strict=True)):
        common = sure & seen
        found = oks(points, other_points[column : column + 1], area[:, None], common, sigmas)[:, 0]
        alike[:, column] = np.where(common.sum(1) >= ENOUGH, found, overlap[:, column])
    return alike


def _areas(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1), np.float64)


def pairs_by_similarity(alike: NDArray[np.float64], least: float) -> list[tuple[int, int]]:
    """Pairs (row, column), each row and column once at most, taken from the most alike down to `least`.

    Greedy, as COCO's own evaluation matches persons: a sure pair is not given up to make an unsure one possible.
    Of equal similarities the first in row order goes first.
    """
    left = alike.copy()
    pairs: list[tuple[int, int]] = []
    while left.size and left.max() >= least:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        pairs.append((int(row), int(column)))
        left[row, :] = left[:, column] = -1
    return pairs

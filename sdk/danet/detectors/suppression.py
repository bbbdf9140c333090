"""From candidates in a network's input to the persons of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.detectors.base import SCORE_TOLERANCE, Detections
from danet.errors import DetectorError, InputError

MIN_SIDE = 1.0
"""Pixels: what is left of a box after clipping must be this wide and high."""
_MOST_CANDIDATES = 3000
"""NMS is quadratic; a threshold of 0 would otherwise stop the video."""


def within(value: object, low: float, high: float) -> bool:
    """Whether it is a number, NumPy's too, from `low` to `high`."""
    return isinstance(value, Real) and low <= float(value) <= high


@dataclass(frozen=True)
class Limits:
    """Which candidates count."""

    score_threshold: float
    """Lowest score that is kept, in [0, 1]."""
    nms_threshold: float | None
    """IoU with a better box above which one is dropped; None: no NMS."""
    max_detections: int

    def __post_init__(self) -> None:
        """Refuse limits out of range.

        Raises:
            InputError: the first of them.
        """
        if not within(self.score_threshold, 0, 1):
            raise InputError(f"score_threshold {self.score_threshold!r}, expected a number in 0..1")
        if self.nms_threshold is not None and not within(self.nms_threshold, 0, 1):
            raise InputError(f"nms_threshold {self.nms_threshold!r}, expected an IoU in 0..1, or None")
        if not (isinstance(self.max_detections, Integral) and self.max_detections >= 1):
            raise InputError(f"max_detections {self.max_detections!r}, expected a whole number of 1 or more")


def best_boxes(boxes: NDArray[np.floating], scores: NDArray[np.floating], limits: Limits) -> NDArray[np.intp]:
    """Indices of the boxes that count, best first, after NMS.

    Args:
        boxes: (N, 4) xyxy; what is not finite or has no area is left out.
        scores: (N,).
        limits: thresholds. `max_detections` is not applied here.
    """
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1) & (scores >= limits.score_threshold)
    order = np.flatnonzero(usable)
    order = order[np.argsort(-scores[order], kind="stable")][:_MOST_CANDIDATES]
    if limits.nms_threshold is None or not len(order):
        return order
    chosen = boxes[order].astype(np.float64)
    chosen[:, 2:] -= chosen[:, :2]
    kept = cv2.dnn.NMSBoxes(chosen.tolist(), scores[order].astype(float).tolist(), 0.0, limits.nms_threshold)
    return order[np.asarray(kept, np.intp).reshape(-1)]


def refuse_logits(scores: NDArray[np.floating]) -> None:
    """Refuse scores (N,) that are no probabilities: a threshold on them would mean nothing.

    Raises:
        DetectorError: one is above 1 by more than INT8 rounds.
    """
    if scores.size and scores.max() > SCORE_TOLERANCE:
        raise DetectorError(
            f"a score of {scores.max():.3g}, expected probabilities in 0..1; export the model with its sigmoid or "
            "softmax, or is this another head=?"
        )


def in_frame(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], frame_size: tuple[int, int], most: int
) -> Detections:
    """Boxes (N, 4) xyxy, best first, clipped to a frame of (height, width); what is left of nothing is dropped."""
    height, width = frame_size
    clipped = np.clip(boxes, 0, (width, height, width, height))
    large = (clipped[:, 2:] - clipped[:, :2] >= MIN_SIDE).all(1)
    return Detections(
        clipped[large][:most].astype(np.float32).reshape(-1, 4),
        np.clip(scores[large][:most], 0, 1).astype(np.float32),
    )

"""Where somebody who is out of sight may be by now."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from danet.tracking.track import Track

REACH, REACH_PER_S = 0.3, 1.0
"""Heights of an unseen person by which it may be off, and by which more for each second: who walks does 0.8 in one."""
ALIKE_HEIGHTS = 0.6
"""Ratio of an unseen person's height and a box's, the less over the larger, from which it may be the same person."""
LEAST_NEARNESS = 1e-6
"""Just within reach."""


def nearness(track: Track, time_s: float, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """How near boxes (M, 4) are to where an unseen person may be: (M,) float64, 1 at the very place, 0 out of reach.

    Going on as before and standing still are both tried: who goes behind something often stops or turns there.

    Args:
        track: of the person.
        time_s: now, seconds.
        boxes: xyxy, frame pixels.
    """
    places = (track.expected_box(time_s), track.box)
    away = np.min([_away(place, boxes) for place in places], axis=0)
    near = 1 - away / (REACH + REACH_PER_S * track.unseen_s(time_s))
    return np.where(_alike_heights(track.box, boxes), np.maximum(near, 0.0), 0.0)


def _away(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (M,) of the middles of boxes (M, 4) from that of a box (4,), in its heights."""
    middle, middles = (box[:2] + box[2:]) / 2, (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(np.linalg.norm(middles - middle, axis=1) / max(float(box[3] - box[1]), 1.0))


def _alike_heights(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether boxes (M, 4) are about as tall as a box (4,)."""
    height, heights = box[3] - box[1], boxes[:, 3] - boxes[:, 1]
    return np.asarray(np.minimum(height, heights) >= ALIKE_HEIGHTS * np.maximum(height, heights), np.bool_)

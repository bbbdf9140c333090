"""PCK: the share of keypoints within a part of a reference length of the truth; PCKh; its lengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEFT_SHOULDER, RIGHT_HIP = 5, 12
LIMBS = slice(5, 17)
"""The 12 COCO keypoints that LSP labels too; its head top and neck have no COCO counterpart."""
MPII_HEAD_FACTOR = 0.6
"""Head segment length over the head box's diagonal (SC_BIAS of the MPII evaluation kit)."""


@dataclass(frozen=True)
class Pck:
    """Shares in [0, 1] of keypoints that were found; NaN where none was labelled."""

    alpha: float
    per_joint: tuple[float, ...]
    mean: float
    """Over all labelled keypoints, so that each keypoint, not each joint, has the same weight."""
    labelled: int
    """How many keypoints counted."""


def pck(
    predicted: NDArray[np.floating],
    truth: NDArray[np.floating],
    labelled: NDArray[np.bool_],
    lengths: NDArray[np.floating],
    alpha: float,
) -> Pck:
    """Share of labelled keypoints at most `alpha` reference lengths away from the truth.

    PCK@0.2 of LSP takes `torso_diameters`, PCK of Yang & Ramanan (2013) `box_lengths`, and
    PCKh@0.5 of MPII (Andriluka et al. 2014) `head_lengths`. Unlabelled keypoints are left out, and
    so are persons whose reference length is unknown (NaN) or 0.

    Args:
        predicted: (N, K, 2), pixels of the frame.
        truth: (N, K, 2), pixels of the frame.
        labelled: (N, K), visibility above 0.
        lengths: (N,), pixels.
        alpha: part of the length that still counts as found.
    """
    counted = labelled & (np.nan_to_num(lengths) > 0)[:, None]
    way = predicted.astype(np.float64) - truth
    limits = alpha * np.nan_to_num(lengths)[:, None]
    found = counted & (np.hypot(way[..., 0], way[..., 1]) <= limits)
    per_joint = [_share(int(hits), int(total)) for hits, total in zip(found.sum(0), counted.sum(0), strict=True)]
    total = int(counted.sum())
    return Pck(alpha, tuple(per_joint), _share(int(found.sum()), total), total)


def _share(hits: int, total: int) -> float:
    return hits / total if total else float("nan")


def torso_diameters(truth: NDArray[np.floating], labelled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distances (N,) float64 in pixels from left shoulder to right hip, NaN where one is unlabelled.

    The reference length of PCK on LSP (Johnson & Everingham's data, Yang & Ramanan's measure).

    Args:
        truth: (N, 17, 2), pixels of the frame, COCO's order.
        labelled: (N, 17).
    """
    way = truth[:, LEFT_SHOULDER].astype(np.float64) - truth[:, RIGHT_HIP]
    known = labelled[:, LEFT_SHOULDER] & labelled[:, RIGHT_HIP]
    return np.where(known, np.hypot(way[:, 0], way[:, 1]), np.nan)


def box_lengths(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Longer sides (N,) float64 in pixels of person boxes (N, 4) xyxy."""
    return np.asarray(np.max(boxes[:, 2:] - boxes[:, :2], axis=1), np.float64)


def head_lengths(head_boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Head segment lengths (N,) float64 in pixels: 0.6 of the diagonal of head boxes (N, 4) xyxy."""
    sides = head_boxes[:, 2:].astype(np.float64) - head_boxes[:, :2]
    return MPII_HEAD_FACTOR * np.hypot(sides[:, 0], sides[:, 1])

"""PCK: the share of keypoints within a part of a reference length of the truth, by joint and group of joints."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.keypoints import COCO_KEYPOINTS

LEFT_SHOULDER, RIGHT_HIP = 5, 12
LIMBS = slice(5, 17)
"""The 12 COCO keypoints that LSP labels too; its head top and neck have no COCO counterpart."""
LIMB_KEYPOINTS = COCO_KEYPOINTS[5:17]
GROUPS = {
    "Head": ("head_top",),
    "Shoulder": ("left_shoulder", "right_shoulder"),
    "Elbow": ("left_elbow", "right_elbow"),
    "Wrist": ("left_wrist", "right_wrist"),
    "Hip": ("left_hip", "right_hip"),
    "Knee": ("left_knee", "right_knee"),
    "Ankle": ("left_ankle", "right_ankle"),
}
"""The columns of published PCK and PCKh tables, in their order. Head is the head top alone, as in HRNet's and
mmpose's MPII evaluations; the MPII kit, which makes the test server's tables, averages head top and upper neck."""


@dataclass(frozen=True)
class Share:
    """The share in [0, 1] of a group's keypoints that were found; NaN where none was labelled."""

    group: str
    value: float


@dataclass(frozen=True)
class Pck:
    """Shares in [0, 1] of keypoints that were found; NaN where none was labelled."""

    alpha: float
    joints: tuple[str, ...]
    per_joint: tuple[float, ...]
    """In the order of `joints`."""
    mean: float
    """Over all labelled keypoints, so that each keypoint, not each joint, has the same weight."""
    labelled: int
    """How many keypoints counted."""

    @property
    def groups(self) -> tuple[Share, ...]:
        """The groups of `GROUPS` that these joints fill: each the mean of its joints' shares, as published."""
        shares = dict(zip(self.joints, self.per_joint, strict=True))
        held = {group: names for group, names in GROUPS.items() if set(names) <= shares.keys()}
        return tuple(Share(group, _mean([shares[name] for name in names])) for group, names in held.items())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, joints and groups by their names."""
        return {
            "alpha": self.alpha,
            "mean": self.mean,
            "labelled": self.labelled,
            "groups": {share.group: share.value for share in self.groups},
            "per_joint": dict(zip(self.joints, self.per_joint, strict=True)),
        }


def _mean(values: list[float]) -> float:
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known else nan


def pck(
    predicted: NDArray[np.floating],
    truth: NDArray[np.floating],
    labelled: NDArray[np.bool_],
    lengths: NDArray[np.floating],
    alpha: float,
    joints: tuple[str, ...],
) -> Pck:
    """Share of labelled keypoints at most `alpha` reference lengths away from the truth.

    PCK@0.2 of LSP takes `torso_diameters`, PCK of Yang & Ramanan (2013) `box_lengths`, and
    PCKh@0.5 of MPII (Andriluka et al. 2014) the head sizes of its persons. Unlabelled keypoints are
    left out, and so are persons whose reference length is unknown (NaN) or 0.

    Args:
        predicted: (N, K, 2), pixels of the frame.
        truth: (N, K, 2), pixels of the frame.
        labelled: (N, K), keypoints that count.
        lengths: (N,), pixels.
        alpha: part of the length that still counts as found.
        joints: names of the K keypoints.
    """
    counted = labelled & (np.nan_to_num(lengths) > 0)[:, None]
    way = predicted.astype(np.float64) - truth
    limits = alpha * np.nan_to_num(lengths)[:, None]
    found = counted & (np.hypot(way[..., 0], way[..., 1]) <= limits)
    per_joint = [_share(int(hits), int(total)) for hits, total in zip(found.sum(0), counted.sum(0), strict=True)]
    total = int(counted.sum())
    return Pck(alpha, joints, tuple(per_joint), _share(int(found.sum()), total), total)


def _share(hits: int, total: int) -> float:
    return hits / total if total else nan


def torso_diameters(truth: NDArray[np.floating], labelled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distances (N,) float64 in pixels from left shoulder to right hip, NaN where one is unlabelled.

    The reference length of PCK on LSP (Sapp & Taskar 2013; the public evaluation bearpaw/eval_pose).

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

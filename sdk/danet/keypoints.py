"""Keypoint layouts: names, left/right pairs and skeletons."""

from __future__ import annotations

COCO_KEYPOINTS = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""The 17 keypoints of COCO, in its order. Left and right are the person's own."""

COCO_SKELETON = (
    (15, 13),
    (13, 11),
    (16, 14),
    (14, 12),
    (11, 12),
    (5, 11),
    (6, 12),
    (5, 6),
    (5, 7),
    (6, 8),
    (7, 9),
    (8, 10),
    (1, 2),
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (3, 5),
    (4, 6),
)
"""Pairs of keypoint indices (from 0) that COCO draws as limbs."""


MPII_KEYPOINTS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "pelvis",
    "thorax",
    "upper_neck",
    "head_top",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
)
"""The 16 keypoints of MPII Human Pose, in its order (ids 0 to 15 of its annotations); mmpose's names."""

MPII_SKELETON = (
    (0, 1),
    (1, 2),
    (2, 6),
    (5, 4),
    (4, 3),
    (3, 6),
    (6, 7),
    (7, 8),
    (8, 9),
    (10, 11),
    (11, 12),
    (12, 7),
    (15, 14),
    (14, 13),
    (13, 7),
)
"""Pairs of keypoint indices (from 0) that form MPII's limbs: a tree whose trunk is pelvis, thorax, neck, head."""


def partner_of(name: str) -> str | None:
    """What "left_x" changes places with in a mirrored picture: "right_x"; None for other names."""
    return "right_" + name.removeprefix("left_") if name.startswith("left_") else None


def left_right_pairs(names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Index pairs of "left_x" and "right_x", in the order of the left ones.

    Raises:
        ValueError: a "left_x" without its "right_x".
    """
    return tuple(
        (index, names.index(partner)) for index, name in enumerate(names) if (partner := partner_of(name)) is not None
    )


COCO_FLIP_PAIRS = left_right_pairs(COCO_KEYPOINTS)
"""Pairs of keypoint indices that a mirrored picture swaps."""

MPII_FLIP_PAIRS = left_right_pairs(MPII_KEYPOINTS)
"""Pairs of keypoint indices that a mirrored picture swaps. With `MPII_KEYPOINTS` and `MPII_SKELETON` all that a
ModelSpec of an MPII model states beside its input size (256 x 256 in the paper's Table VIII)."""

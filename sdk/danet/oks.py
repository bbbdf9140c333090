"""Object keypoint similarity (OKS), as COCO defines it, and the non-maximum suppression built on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COCO_SIGMAS: NDArray[np.float64] = np.array(
    [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]
)
COCO_SIGMAS /= 10
COCO_SIGMAS.flags.writeable = False
"""(17,) float64: spread of the annotators per keypoint, relative to sqrt(area) (COCO's evaluation page)."""


def oks(
    persons: NDArray[np.floating],
    others: NDArray[np.floating],
    areas: NDArray[np.floating],
    labelled: NDArray[np.bool_] | None = None,
    sigmas: NDArray[np.float64] = COCO_SIGMAS,
) -> NDArray[np.float64]:
    """OKS (N, M) float64 in [0, 1] of each of N persons with each of M others.

    Mean over the labelled keypoints of exp(-d^2 / (2 area (2 sigma)^2)), the formula of COCO's
    keypoint evaluation. 0 for a person without a labelled keypoint.

    Args:
        persons: (N, K, 2), pixels of the frame.
        others: (M, K, 2), pixels of the same frame.
        areas: (N, 1), (1, M) or (N, M), pixels^2: the scale by which distances are judged.
        labelled: (N, K), keypoints of `persons` that count; all by default.
        sigmas: (K,).
    """
    way = persons[:, None].astype(np.float64) - others[None]
    similarity = _similarity(way, areas, sigmas)
    if labelled is None:
        return np.asarray(similarity.mean(2), np.float64)
    counts = np.maximum(labelled.sum(1), 1)[:, None]
    return np.asarray((similarity * labelled[:, None]).sum(2) / counts, np.float64)


def _similarity(
    way: NDArray[np.float64], areas: NDArray[np.floating], sigmas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Similarity (..., K) of keypoints that lie `way` (..., K, 2) apart, judged by areas (...)."""
    spread = (2 * sigmas) ** 2 * (2 * (np.asarray(areas, np.float64)[..., None] + np.spacing(1)))
    return np.asarray(np.exp(-np.square(way).sum(-1) / spread), np.float64)


def paired_oks(
    truth: NDArray[np.floating],
    found: NDArray[np.floating],
    areas: NDArray[np.floating],
    labelled: NDArray[np.bool_],
    sigmas: NDArray[np.float64] = COCO_SIGMAS,
) -> NDArray[np.float64]:
    """OKS (N,) float64 of each annotated person with the pose that was found for it; 0 where none is labelled.

    Args:
        truth: (N, K, 2), pixels of the frame.
        found: (N, K, 2), pixels of the frame.
        areas: (N,), pixels^2 of the annotated persons.
        labelled: (N, K), keypoints that count.
        sigmas: (K,).
    """
    similarity = _similarity(found.astype(np.float64) - truth, areas, sigmas)
    return np.asarray((similarity * labelled).sum(1) / np.maximum(labelled.sum(1), 1), np.float64)


def oks_nms(
    keypoints: NDArray[np.floating],
    scores: NDArray[np.floating],
    areas: NDArray[np.floating],
    threshold: float = 0.9,
    sigmas: NDArray[np.float64] = COCO_SIGMAS,
) -> NDArray[np.intp]:
    """Indices of the persons of one picture that stay, highest score first.

    From the highest score down, a person takes away all with whom its OKS is above the threshold.
    All keypoints count, and a pair is judged by the mean of its two areas: the protocol of
    SimpleBaseline's and HRNet's public evaluations. Of equal scores the first goes first.

    Args:
        keypoints: (N, K, 2), pixels of the frame.
        scores: (N,).
        areas: (N,) pixels^2, in that protocol of the padded box that was cropped.
        threshold: OKS above which two are taken for the same person.
        sigmas: (K,).
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while left.size:
        best, rest = left[0], left[1:]
        kept.append(int(best))
        pair_areas = (areas[best] + areas[rest])[None] / 2
        left = rest[oks(keypoints[best][None], keypoints[rest], pair_areas, sigmas=sigmas)[0] <= threshold]
    return np.array(kept, np.intp)

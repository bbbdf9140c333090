"""How well ids stay: MOTA and IDF1 by TrackEval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError, MissingExtraError

MATCHED = 0.5
"""Similarity from which what was found is that person."""


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """The truth about one frame and what a tracker said of it."""

    ids: NDArray[np.int64]
    """(N,) who the persons are."""
    counted: NDArray[np.bool_]
    """(N,) persons who must be found; one who is hidden may be, and costs nothing either way."""
    found_ids: NDArray[np.int64]
    """(M,) the tracker's."""
    similarity: NDArray[np.float64]
    """(N, M) in [0, 1] of persons and what was found: IoU of boxes, as MOT benchmarks have it, or OKS of keypoints."""


@dataclass(frozen=True)
class TrackingFigures:
    """Of one or more sequences."""

    mota: float
    """1 - (misses + false positives + id switches) / persons (CLEAR MOT, Bernardin and Stiefelhagen 2008)."""
    idf1: float
    """F1 of persons under the one id that suits them best over the whole sequence (Ristani et al. 2016)."""
    id_switches: int
    misses: int
    false_positives: int
    persons: int
    """Summed over the frames."""
    ids: int
    """Different ids that were given."""


def tracking_figures(sequences: list[list[TrackedFrame]]) -> TrackingFigures:
    """MOTA and IDF1 over some sequences together; ids of different sequences have nothing to do with each other.

    Raises:
        MissingExtraError: TrackEval is not installed.
        InputError: nobody to be found in any frame.
    """
    try:
        from trackeval.metrics import CLEAR, Identity
    except ImportError as error:
        raise MissingExtraError("tracking metrics", "bench", "trackeval") from error
    clear = CLEAR({"THRESHOLD": MATCHED, "PRINT_CONFIG": False})
    identity = Identity({"THRESHOLD": MATCHED, "PRINT_CONFIG": False})
    data = [_sequence(frames) for frames in sequences]
    persons = sum(one["num_gt_dets"] for one in data)
    if not persons:
        raise InputError("no frame has a person who counts; tracking cannot be judged")
    counts = clear.combine_sequences({str(number): clear.eval_sequence(one) for number, one in enumerate(data)})
    kept = identity.combine_sequences({str(number): identity.eval_sequence(one) for number, one in enumerate(data)})
    return TrackingFigures(
        mota=float(counts["MOTA"]),
        idf1=float(kept["IDF1"]),
        id_switches=int(counts["IDSW"]),
        misses=int(counts["CLR_FN"]),
        false_positives=int(counts["CLR_FP"]),
        persons=persons,
        ids=sum(one["num_tracker_ids"] for one in data),
    )


def _sequence(frames: list[TrackedFrame]) -> dict[str, Any]:
    """A sequence as TrackEval's metrics take it: ids counted from 0, one matrix of similarities to a frame."""
    parts = [_counted(frame) for frame in frames]
    truth = {one: number for number, one in enumerate(sorted({int(one) for ids, _, _ in parts for one in ids}))}
    found = {one: number for number, one in enumerate(sorted({int(one) for _, ids, _ in parts for one in ids}))}
    return {
        "gt_ids": [np.array([truth[int(one)] for one in ids], int) for ids, _, _ in parts],
        "tracker_ids": [np.array([found[int(one)] for one in ids], int) for _, ids, _ in parts],
        "similarity_scores": [similarity for _, _, similarity in parts],
        "num_gt_ids": len(truth),
        "num_tracker_ids": len(found),
        "num_gt_dets": sum(len(ids) for ids, _, _ in parts),
        "num_tracker_dets": sum(len(ids) for _, ids, _ in parts),
        "num_timesteps": len(parts),
    }


def _counted(frame: TrackedFrame) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Ids (N,) and (M,), similarities (N, M): without hidden persons, and without what was found of them."""
    hidden, seen = frame.similarity[~frame.counted], frame.similarity[frame.counted]
    excused = (hidden.max(0, initial=0.0) >= MATCHED) & (seen.max(0, initial=0.0) < MATCHED)
    return frame.ids[frame.counted], frame.found_ids[~excused], seen[:, ~excused]

"""PCKh, the measure of MPII Human Pose, on data sets that carry its 16 keypoints and the size of each head."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError
from danet.keypoints import MPII_KEYPOINTS
from danet_evaluation.coco import KeypointDataset
from danet_evaluation.evaluate import refuse, without_nan
from danet_evaluation.pck import Pck, pck
from danet_evaluation.predict import Progress, persons_by_image, predict_on_truth, silent
from danet_evaluation.predictions import Predictions, keypoint_arrays

if TYPE_CHECKING:
    from danet.estimator import PoseEstimator

PCKH_ALPHA = 0.5
LEFT_OUT = ("pelvis", "thorax")
"""Joints that the published protocol does not count (HRNet's and mmpose's evaluations, the MPII kit's 14 joints)."""


@dataclass(frozen=True)
class PckhEvaluation:
    """What a model reaches on an MPII data set."""

    data: str
    flip_test: bool
    pictures: int
    persons: int
    """Annotated persons with a labelled keypoint."""
    pckh: Pck
    """PCKh@0.5; NaN for pelvis and thorax, which do not count."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, NaN as None; joints by their names."""
        plain: dict[str, Any] = without_nan({**asdict(self), "pckh": self.pckh.to_dict()})
        return plain


@dataclass(frozen=True, eq=False)
class PckhRun:
    """One pass of an estimator over an MPII data set."""

    model: str
    evaluation: PckhEvaluation
    predictions: Predictions
    """Of all persons, in the order of `persons_by_image`."""


def run_pckh(estimator: PoseEstimator, dataset: KeypointDataset, progress: Progress = silent) -> PckhRun:
    """Run an estimator over a data set of MPII's keypoints with its annotated boxes, and measure.

    The annotations are in COCO's format, coordinates from 0 as COCO's (MPII's own start at 1); a head
    comes as "head_size" or "headbox", see `coco.person_of`.

    Raises:
        InputError: a data set without persons or without heads, a model or data set of other
            keypoints than MPII's, or a picture that cannot be read.
    """
    refuse(estimator, dataset, MPII_KEYPOINTS, "MPII")
    if np.isnan([person.head_size for person in dataset.persons]).all():
        raise InputError(
            f"{dataset.name}: no person has a head_size or headbox, expected one with each annotation; PCKh is "
            "relative to it: head_size in pixels (0.6 x the head box's diagonal) or headbox [x1, y1, x2, y2]"
        )
    predictions = predict_on_truth(estimator, dataset, progress)
    evaluation = PckhEvaluation(
        data=dataset.name,
        flip_test=estimator.flip_test,
        pictures=len(dataset.pictures),
        persons=len(dataset.persons),
        pckh=pckh(dataset, predictions.keypoints),
    )
    return PckhRun(estimator.spec.name, evaluation, predictions)


def pckh(dataset: KeypointDataset, predicted: NDArray[np.floating]) -> Pck:
    """PCKh@0.5 (Andriluka et al. 2014): found is what lies within half a head size of the truth.

    The mean is over all labelled keypoints but pelvis and thorax, as in HRNet's and mmpose's evaluations.

    Args:
        dataset: the ground truth, with MPII's keypoints.
        predicted: (N, 16, 2), pixels of the frame, in the order of `persons_by_image`.
    """
    persons = persons_by_image(dataset)
    truth, labelled = keypoint_arrays(persons, MPII_KEYPOINTS)
    counted = labelled & ~np.isin(MPII_KEYPOINTS, LEFT_OUT)
    heads = np.array([person.head_size for person in persons])
    return pck(predicted, truth, counted, heads, PCKH_ALPHA, MPII_KEYPOINTS)

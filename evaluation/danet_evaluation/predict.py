"""From a data set and person boxes, the data set's own or a detector's, to COCO keypoint results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from danet.crop import padded_size
from danet.errors import InputError
from danet_evaluation.coco import KeypointDataset, Person
from danet_evaluation.detections import Detections
from danet_evaluation.oks import oks_nms

if TYPE_CHECKING:
    from danet.estimator import PoseEstimator

NMS_THRESHOLD = 0.9
"""OKS above which two predictions of a picture are one person (SimpleBaseline, HRNet)."""

Progress = Callable[[int], None]
"""Called with the number of persons that were just finished."""


def silent(_: int) -> None:
    """The progress of those who do not care."""


def persons_by_image(dataset: KeypointDataset) -> list[Person]:
    """The persons in the order of `predict_on_truth`'s results: picture by picture."""
    return [person for _, _, persons in dataset.images() for person in persons]


def predict_on_truth(
    estimator: PoseEstimator, dataset: KeypointDataset, progress: Progress = silent
) -> list[dict[str, Any]]:
    """COCO results with the annotated boxes given, one per person in the order of `persons_by_image`.

    A person's score is the mean of its keypoint scores. Pictures are read as the estimator asks for
    them, so that a data set of any size fits the memory.

    Raises:
        InputError: a picture that cannot be read.
    """
    images = list(dataset.images())
    frames = ((picture.read(), np.stack([person.box for person in persons])) for _, picture, persons in images)
    results: list[dict[str, Any]] = []
    for (image_id, _, persons), poses in zip(images, estimator.stream(frames), strict=True):
        results += poses.to_coco(image_id)
        progress(len(persons))
    return results


def predict_on_detections(
    estimator: PoseEstimator, dataset: KeypointDataset, detections: Detections, progress: Progress = silent
) -> list[dict[str, Any]]:
    """COCO results with a detector's boxes, the protocol of the paper's section IV-A.

    A person's score is box score x mean keypoint score; then OKS NMS on each picture, with the
    padded boxes as areas. (HRNet's evaluation takes that mean over the keypoints that score above
    0.2 only; the paper's and the zoo's over all.)

    Raises:
        InputError: a picture that cannot be read, or no detection on any picture of the data set.
    """
    image_ids = [key for key in dataset.pictures if key in detections.by_image and len(detections.by_image[key].boxes)]
    if not image_ids:
        raise InputError(f"{detections.name}: no person on a picture of {dataset.name}; is it of another split?")

    def frames() -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
        for image_id in image_ids:
            yield dataset.pictures[image_id].read(), detections.by_image[image_id].boxes

    results: list[dict[str, Any]] = []
    for image_id, poses in zip(image_ids, estimator.stream(frames()), strict=True):
        found = detections.by_image[image_id]
        on_image = poses.to_coco(image_id, found.scores)
        scores = np.array([result["score"] for result in on_image])
        areas = padded_size(found.boxes, estimator.spec).prod(axis=1)
        results += [on_image[index] for index in oks_nms(poses.keypoints, scores, areas, NMS_THRESHOLD)]
        progress(len(found.boxes))
    return results

"""From a data set and person boxes, the data set's own or a detector's, to predictions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError
from danet_evaluation.coco import KeypointDataset, Person, Picture
from danet_evaluation.detections import Detections
from danet_evaluation.predictions import Predictions

if TYPE_CHECKING:
    from danet.estimator import PoseEstimator
    from danet.poses import Poses

CHUNK_PERSONS = 64
"""Persons that an estimator is given at once: several full network batches even where a picture shows one."""
CHUNK_BYTES = 64 << 20
"""Of pictures to a chunk, so that a data set of large ones fits the memory too; one picture always goes."""
CHUNKS_AT_ONCE = 2
"""One is in the network while another is cropped or decoded, and the next is read."""

Progress = Callable[[int], None]
"""Called with the number of persons that were just finished."""


def silent(_: int) -> None:
    """The progress of those who do not care."""


def persons_by_image(dataset: KeypointDataset) -> list[Person]:
    """The persons in the order of `predict_on_truth`'s predictions: picture by picture."""
    return [person for _, _, persons in dataset.images() for person in persons]


@dataclass(frozen=True, eq=False)
class _Job:
    """A picture with the boxes to look at."""

    image_id: int
    picture: Picture
    boxes: NDArray[np.float64]
    """(N, 4) xyxy, frame pixels."""
    box_scores: NDArray[np.float64]
    """(N,)"""


def predict_on_truth(estimator: PoseEstimator, dataset: KeypointDataset, progress: Progress = silent) -> Predictions:
    """Predictions with the annotated boxes given, one per person in the order of `persons_by_image`.

    A person's score is the mean of its keypoint scores. Pictures are read as the estimator asks for
    them, so that a data set of any size fits the memory.

    Raises:
        InputError: a picture that cannot be read, or an estimator of boxes in another format than xyxy.
    """
    jobs = [
        _Job(image_id, picture, np.stack([person.box for person in persons]), np.ones(len(persons)))
        for image_id, picture, persons in dataset.images()
    ]
    return _predict(estimator, jobs, progress)


def predict_on_detections(
    estimator: PoseEstimator, dataset: KeypointDataset, detections: Detections, progress: Progress = silent
) -> Predictions:
    """Predictions with a detector's boxes, one per box on a picture of the data set, before OKS NMS.

    A person's score is box score x mean keypoint score, the protocol of the paper's section IV-A.
    (HRNet's evaluation takes that mean over the keypoints that score above 0.2 only; the zoo's over
    all.)

    Raises:
        InputError: a picture that cannot be read, no detection on any picture of the data set, or an
            estimator of boxes in another format than xyxy.
    """
    jobs = [
        _Job(image_id, picture, found.boxes, found.scores)
        for image_id, picture in dataset.pictures.items()
        if (found := detections.by_image.get(image_id)) is not None and len(found.boxes)
    ]
    if not jobs:
        raise InputError(
            f"{detections.name}: no person on any of the {len(dataset.pictures)} pictures of {dataset.name}; "
            "are the boxes of another split, or all below the lowest score?"
        )
    return _predict(estimator, jobs, progress)


def _predict(estimator: PoseEstimator, jobs: Sequence[_Job], progress: Progress) -> Predictions:
    if estimator.box_format != "xyxy":
        raise InputError(f"the estimator expects boxes as {estimator.box_format}; open it with box_format='xyxy'")
    names = len(estimator.spec.keypoints)
    keypoints, scores = [np.empty((0, names, 2), np.float32)], [np.empty((0, names), np.float32)]
    person_scores = [np.empty(0)]
    for job, poses in zip(jobs, _poses(estimator, jobs), strict=True):
        keypoints.append(poses.keypoints)
        scores.append(poses.scores)
        person_scores.append(poses.person_scores * job.box_scores)
        progress(len(job.boxes))
    return Predictions(
        image_ids=tuple(job.image_id for job in jobs for _ in job.boxes),
        boxes=np.concatenate([np.empty((0, 4)), *(job.boxes for job in jobs)]),
        keypoints=np.concatenate(keypoints),
        scores=np.concatenate(scores),
        person_scores=np.concatenate(person_scores),
    )


def _poses(estimator: PoseEstimator, jobs: Sequence[_Job]) -> Iterator[Poses]:
    """The poses of each job, in order; the pictures of a chunk share network batches."""
    pending: deque[Future[list[Poses]]] = deque()
    with ThreadPoolExecutor(CHUNKS_AT_ONCE, thread_name_prefix="danet-evaluate") as pool:
        try:
            for chunk in _chunks(jobs):
                pending.append(pool.submit(estimator.infer_batch, chunk))
                if len(pending) == CHUNKS_AT_ONCE:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _chunks(jobs: Sequence[_Job]) -> Iterator[list[tuple[NDArray[np.uint8], NDArray[np.float64]]]]:
    """The jobs in order, read, as many to a chunk as fill it."""
    chunk: list[tuple[NDArray[np.uint8], NDArray[np.float64]]] = []
    for job in jobs:
        chunk.append((job.picture.read(), job.boxes))
        persons = sum(len(boxes) for _, boxes in chunk)
        if persons >= CHUNK_PERSONS or sum(frame.nbytes for frame, _ in chunk) >= CHUNK_BYTES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk

"""What an estimator found on a data set, as arrays, and the truth beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from danet.crop import padded_size
from danet.errors import InputError
from danet.model_spec import ModelSpec
from danet.oks import oks_nms
from danet_evaluation.coco import Person

NMS_THRESHOLD = 0.9
"""OKS above which two predictions of a picture are one person (SimpleBaseline, HRNet)."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """One pose for each box that was given, picture by picture. Index arrays choose some of them."""

    image_ids: tuple[int, ...]
    """Of each of the N boxes."""
    boxes: NDArray[np.float64]
    """(N, 4) float64 xyxy, frame pixels, edges."""
    keypoints: NDArray[np.float32]
    """(N, K, 2) float32 x, y, frame pixel indices."""
    scores: NDArray[np.float32]
    """(N, K) float32 in [0, 1], the network's response at each keypoint."""
    person_scores: NDArray[np.float64]
    """(N,) float64: the mean keypoint score, times the box's own where a detector gave one."""

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, chosen: NDArray[np.integer]) -> Self:
        return replace(
            self,
            image_ids=tuple(self.image_ids[index] for index in chosen),
            boxes=self.boxes[chosen],
            keypoints=self.keypoints[chosen],
            scores=self.scores[chosen],
            person_scores=self.person_scores[chosen],
        )

    def on(self, image_ids: Sequence[int] | frozenset[int]) -> Self:
        """Those on some pictures, in their order."""
        kept = frozenset(image_ids)
        return self[np.array([index for index, image_id in enumerate(self.image_ids) if image_id in kept], np.intp)]

    def to_coco(self) -> list[dict[str, Any]]:
        """Results in COCO's keypoint format, one dict for each person, for pycocotools."""
        triples = np.concatenate((self.keypoints, self.scores[..., None]), axis=2)
        return [
            {"image_id": image_id, "category_id": 1, "keypoints": person.ravel().tolist(), "score": float(score)}
            for image_id, person, score in zip(self.image_ids, triples, self.person_scores, strict=True)
        ]


def suppress(predictions: Predictions, spec: ModelSpec) -> Predictions:
    """What OKS NMS leaves on each picture, highest score first, with the padded boxes as areas.

    Args:
        predictions: with the 17 keypoints of COCO, whose spreads OKS is defined by.
        spec: of the model, for the padding of its crops.
    """
    areas = padded_size(predictions.boxes, spec).prod(axis=1)
    by_image: dict[int, list[int]] = {}
    for index, image_id in enumerate(predictions.image_ids):
        by_image.setdefault(image_id, []).append(index)
    kept: list[int] = []
    for group in by_image.values():
        stay = oks_nms(predictions.keypoints[group], predictions.person_scores[group], areas[group], NMS_THRESHOLD)
        kept += [group[index] for index in stay]
    return predictions[np.array(kept, np.intp)]


def keypoint_arrays(persons: Sequence[Person], names: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Keypoints (N, K, 2) float32, frame pixel indices, and which are labelled (N, K), of annotated persons.

    Raises:
        InputError: a person with another number of keypoints than `names`.
    """
    for person in persons:
        if len(person.keypoints) != len(names):
            raise InputError(f"annotation {person.id} has {len(person.keypoints)} keypoints, expected {len(names)}")
    shape = (len(persons), len(names))
    points = np.array([person.keypoints for person in persons], np.float32).reshape(*shape, 2)
    labelled = np.array([person.visibility > 0 for person in persons], np.bool_).reshape(shape)
    return points, labelled

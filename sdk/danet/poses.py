"""Poses: what an estimator found in one frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from danet.draw import draw_poses
from danet.errors import InputError, MissingExtraError, why_broken
from danet.keypoints import COCO_KEYPOINTS, COCO_SKELETON


@dataclass(frozen=True, eq=False)
class Poses:
    """The persons of one frame, in the order of the boxes that were given.

    Slices, boolean masks, index arrays and single indices give Poses again; iteration gives one
    Poses of length 1 for each person.
    """

    keypoints: NDArray[np.float32]
    """(N, K, 2) float32 x, y in pixels of the frame; the integer i is the centre of pixel i."""
    scores: NDArray[np.float32]
    """(N, K) float32 in [0, 1], the network's response at each keypoint."""
    boxes: NDArray[np.float32]
    """(N, 4) float32 xyxy in pixels of the frame, edges: as given, brought to xyxy."""
    names: tuple[str, ...] = COCO_KEYPOINTS
    """Names of the K keypoints."""
    skeleton: tuple[tuple[int, int], ...] = COCO_SKELETON
    """Pairs of keypoint indices that form limbs."""
    ids: NDArray[np.int64] | None = None
    """(N,) int64: who it is, the same over all frames; None where nobody is tracked."""

    def __len__(self) -> int:
        return len(self.keypoints)

    def __iter__(self) -> Iterator[Self]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int | slice | list[int] | NDArray[np.bool_] | NDArray[np.integer]) -> Self:
        """The chosen persons.

        Raises:
            IndexError: no such person, or a mask of another length.
        """
        chosen = np.arange(len(self))[index].reshape(-1)
        return replace(
            self,
            keypoints=self.keypoints[chosen],
            scores=self.scores[chosen],
            boxes=self.boxes[chosen],
            ids=None if self.ids is None else self.ids[chosen],
        )

    @property
    def person_scores(self) -> NDArray[np.float32]:
        """(N,) float32: the mean keypoint score of each person."""
        means: NDArray[np.float32] = self.scores.mean(axis=1)
        return means

    def to_coco(self, image_id: int, box_scores: Any = None) -> list[dict[str, Any]]:
        """Results in COCO's keypoint format, one dict for each person.

        Args:
            image_id: of the frame.
            box_scores: (N,) detector scores; a person's score is box score x mean keypoint score.

        Raises:
            InputError: box_scores of another length.
        """
        weights = np.ones(len(self)) if box_scores is None else np.asarray(box_scores, np.float64)
        if weights.shape != (len(self),):
            raise InputError(f"box_scores of shape {weights.shape}, expected ({len(self)},)")
        triples = np.concatenate((self.keypoints, self.scores[..., None]), axis=2)
        scores = self.person_scores * weights
        return [
            {"image_id": image_id, "category_id": 1, "keypoints": person.ravel().tolist(), "score": float(score)}
            for person, score in zip(triples, scores, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers: for each person its id, if tracked, box, score and named keypoints [x, y, score]."""
        persons: list[dict[str, Any]] = []
        for box, score, points, scores in zip(self.boxes, self.person_scores, self.keypoints, self.scores, strict=True):
            named = {
                name: [round(float(x), 2), round(float(y), 2), round(float(value), 4)]
                for name, (x, y), value in zip(self.names, points, scores, strict=True)
            }
            persons.append(
                {
                    "box": [round(float(edge), 2) for edge in box],
                    "score": round(float(score), 4),
                    "keypoints": named,
                }
            )
        if self.ids is not None:
            persons = [{"id": int(one), **person} for one, person in zip(self.ids, persons, strict=True)]
        return {"persons": persons}

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict())

    def draw(self, frame: Any, *, threshold: float = 0.2, boxes: bool = False, ids: bool = True) -> NDArray[np.uint8]:
        """A copy (H, W, 3) uint8 BGR of `frame` with skeletons, the surer the more opaque.

        Args:
            frame: (H, W, 3) uint8 BGR; also BGRA and grey; left as it is.
            threshold: keypoints of lower scores are left out.
            boxes: draw boxes as well.
            ids: write the ids of tracked persons.

        Raises:
            InputError: a frame that cannot be used.
        """
        return draw_poses(
            frame,
            self.keypoints,
            self.scores,
            self.boxes,
            self.names,
            self.skeleton,
            threshold=threshold,
            with_boxes=boxes,
            ids=self.ids if ids else None,
        )

    def to_supervision(self) -> Any:
        """A `supervision.KeyPoints` with the same numbers, for its annotators; ids are its data["tracker_id"].

        Raises:
            MissingExtraError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            broken = why_broken(error, "supervision")
            raise MissingExtraError("Poses.to_supervision", "supervision", "supervision", broken) from error
        data: dict[str, Any] = {} if self.ids is None else {"tracker_id": self.ids.copy()}
        return supervision.KeyPoints(
            xy=self.keypoints.copy(),
            keypoint_confidence=self.scores.copy(),
            detection_confidence=self.person_scores,
            data=data,
        )

"""Person boxes of a detector, in COCO's result format."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError
from danet.frame import MIN_SIDE
from danet_evaluation.coco import read_json

PERSON_CATEGORY = 1


@dataclass(frozen=True, eq=False)
class ImageDetections:
    """The persons that a detector found on one picture."""

    boxes: NDArray[np.float64]
    """(N, 4) float64 xyxy, frame pixels, edges."""
    scores: NDArray[np.float64]
    """(N,) float64 in [0, 1]."""

    def at_least(self, score: float) -> Self:
        """The boxes that score `score` or more."""
        stay = self.scores >= score
        return replace(self, boxes=self.boxes[stay], scores=self.scores[stay])


@dataclass(frozen=True, eq=False)
class Detections:
    """A detector's boxes by image id."""

    name: str
    by_image: Mapping[int, ImageDetections]
    min_score: float | None = None
    """Boxes that scored less were left out; None: all are there."""

    def count(self, image_ids: Collection[int]) -> int:
        """How many persons were found on some pictures."""
        return sum(len(found.boxes) for image_id, found in self.by_image.items() if image_id in image_ids)

    def at_least(self, score: float) -> Self:
        """The boxes that score `score` or more, as HRNet's IMAGE_THRE keeps them (0 in its COCO files: all)."""
        by_image = {image_id: found.at_least(score) for image_id, found in self.by_image.items()}
        return replace(self, by_image=by_image, min_score=score)


def load_detections(path: Path) -> Detections:
    """The persons (category 1) of a detections file such as COCO_val2017_detections_AP_H_56_person.json.

    The file is a list of {"image_id", "category_id", "bbox": [x, y, width, height], "score"}. Boxes
    without an area are left out: nothing can be cropped there.

    Raises:
        InputError: missing, unreadable JSON, or not in that format.
    """
    try:
        rows = _rows(read_json(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: {error}; expected COCO's detection results, a list of "
            '{"image_id", "category_id": 1, "bbox": [x, y, width, height], "score"}'
        ) from error
    return Detections(path.name, {image_id: _on_image(items) for image_id, items in rows.items()})


def _rows(content: Any) -> dict[int, list[tuple[float, ...]]]:
    if not isinstance(content, list):
        raise ValueError(f"a JSON {type(content).__name__}")
    rows: dict[int, list[tuple[float, ...]]] = {}
    for number, item in enumerate(content, 1):
        try:
            if item["category_id"] == PERSON_CATEGORY:
                rows.setdefault(item["image_id"], []).append(_row(item))
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
            raise ValueError(f"item {number}: {type(error).__name__}: {error}") from error
    return rows


def _row(item: dict[str, Any]) -> tuple[float, ...]:
    x, y, width, height = map(float, item["bbox"])
    row = (x, y, x + width, y + height, float(item["score"]))
    if not np.isfinite(row).all():
        raise ValueError(f"box and score {row}, expected finite numbers")
    return row


def _on_image(rows: list[tuple[float, ...]]) -> ImageDetections:
    table = np.array(rows, np.float64)
    table = table[(table[:, 2:4] - table[:, :2] >= MIN_SIDE).all(axis=1)]
    return ImageDetections(table[:, :4], table[:, 4])

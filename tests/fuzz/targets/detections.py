"""A detector's results in COCO's format."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from danet_evaluation.detections import load_detections
from tests.fuzz.reading import as_file

WORDS = (b'"image_id"', b'"category_id":1', b'"bbox"', b'"score"', b"[0,0,9,9]", b"1e400", b"null")


def seeds() -> dict[str, bytes]:
    """Results, and odd ones."""
    row = {"image_id": 1, "category_id": 1, "bbox": [1, 2.5, 30, 40], "score": 0.5}
    values: dict[str, Any] = {
        "plain": [row, {**row, "image_id": 2}, {**row, "category_id": 3}],
        "empty": [],
        "object": {"a": row},
        "text-box": [{**row, "bbox": "1234"}],
        "list-id": [{**row, "image_id": [1]}],
        "huge": [{**row, "bbox": [0, 0, 10**400, 1]}],
        "no-area": [{**row, "bbox": [0, 0, 0, 1]}],
        "overflow": [{**row, "bbox": [1.7e308, 0, 1.7e308, 1]}],
        "text-id": [{**row, "image_id": "1"}],
        "nothing": [None],
    }
    return {name: json.dumps(value).encode() for name, value in values.items()} | {"nan": b"[NaN, -Infinity]"}


def run(data: bytes) -> None:
    """Read; boxes are finite and have an area."""
    found = load_detections(as_file(data, ".json"))
    for one in found.at_least(0.0).by_image.values():
        assert one.boxes.shape == (len(one.scores), 4)
        assert np.isfinite(one.boxes).all()
        assert (one.boxes[:, 2:] > one.boxes[:, :2]).all()
    found.count(list(found.by_image))

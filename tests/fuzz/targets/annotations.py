"""Annotations in COCO's keypoint format, with COCO's keypoints or MPII's and their heads, up to the figures."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from danet.keypoints import COCO_KEYPOINTS, MPII_KEYPOINTS
from danet_evaluation.coco import load_coco
from danet_evaluation.keypoint_ap import keypoint_ap
from danet_evaluation.mpii import pckh
from danet_evaluation.predict import persons_by_image
from tests.fuzz.reading import as_file

_NAMES = ("images", "annotations", "id", "image_id", "file_name", "bbox", "keypoints", "num_keypoints", "area")
WORDS = (
    *(f'"{name}"'.encode() for name in _NAMES),
    *(b'"iscrowd":1', b'"headbox":[1,1,9,9]', b'"head_size":3', b'"../a.jpg"', b"null"),
)


def _coco(keypoints: tuple[str, ...]) -> dict[str, Any]:
    count = len(keypoints)
    person = {"image_id": 7, "category_id": 1, "iscrowd": 0, "bbox": [10, 10, 50, 90], "area": 2000.5}
    points = [number for place in range(count) for number in (20 + place, 30 + 2 * place, place % 3)]
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 99, "height": 120, "source": "s"}],
        "annotations": [
            {**person, "id": 1, "keypoints": points, "num_keypoints": count - count // 3},
            {**person, "id": 2, "keypoints": points, "num_keypoints": 9, "headbox": [1, 2, 30, 40]},
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(keypoints)}],
    }


def _with(**changes: Any) -> dict[str, Any]:
    content = copy.deepcopy(_coco(COCO_KEYPOINTS))
    content["annotations"][0] |= changes
    return content


def seeds() -> dict[str, bytes]:
    """Annotations, and odd ones."""
    content = _coco(COCO_KEYPOINTS)
    values: dict[str, Any] = {
        "coco": content,
        "mpii": _coco(MPII_KEYPOINTS),
        "empty": {"images": [], "annotations": [], "categories": []},
        "list": [],
        "no-such-image": _with(image_id=8),
        "short-keypoints": _with(keypoints=[1, 2, 2, 3]),
        "text-keypoints": _with(keypoints="abc"),
        "huge-keypoints": _with(keypoints=[1e300, 1e300, 2] * 17),
        "visibility": _with(keypoints=[1, 1, 300] * 17),
        "huge-box": _with(bbox=[0, 0, 10**400, 1]),
        "list-ids": _with(id=[1], image_id=[7]),
        "text-area": _with(area="12"),
        "null-area": _with(area=None),
        "nested": _with(keypoints=[[1, 2, 2]] * 17),
        "head": _with(head_size="x"),
        "up": {**content, "images": [{"id": 7, "file_name": "../../etc/passwd"}]},
        "absolute": {**content, "images": [{"id": 7, "file_name": "/etc/passwd"}]},
        "number-for-a-name": {**content, "images": [{"id": 7, "file_name": 5}]},
        "categories": {**content, "categories": [5]},
    }
    return {name: json.dumps(value, separators=(",", ":")).encode() for name, value in values.items()}


def run(data: bytes) -> None:
    """Read, cut into parts, and measure results of nobody and of the truth itself."""
    path = as_file(data, ".json")
    dataset = load_coco(path, [path.parent / "pictures"])
    for picture in dataset.pictures.values():
        assert Path(str(getattr(picture, "path", ""))).resolve().is_relative_to(path.parent.resolve())
    dataset.sources()
    dataset.of_images(list(dataset.pictures)[:1])
    assert len(dataset.first(1).persons) <= len(dataset.persons)
    persons = persons_by_image(dataset)
    if dataset.keypoints == MPII_KEYPOINTS and persons:
        pckh(dataset, np.zeros((len(persons), len(MPII_KEYPOINTS), 2)))
    elif dataset.keypoints == COCO_KEYPOINTS and len(dataset.content["annotations"]) < 50:
        keypoint_ap(dataset, [])

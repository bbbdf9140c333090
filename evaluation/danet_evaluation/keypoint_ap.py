"""COCO keypoint average precision and recall, by pycocotools."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from danet.errors import InputError
from danet_evaluation.coco import KeypointDataset, is_usable

_COORDINATES = 51
"""x, y and visibility or score of the 17 COCO keypoints."""
_LARGEST = sys.float_info.max
_CATEGORY = 1
_CATEGORIES = [{"id": _CATEGORY, "name": "person"}]


@dataclass(frozen=True)
class KeypointAP:
    """COCO's ten keypoint figures, each in [0, 1]; NaN where the data holds no person of that class.

    `ap` and `ar` are means over OKS 0.50, 0.55 ... 0.95; medium is an area of 32^2 to 96^2 pixels,
    large above (https://cocodataset.org/#keypoints-eval). pycocotools writes -1 for the NaN.
    """

    ap: float
    ap50: float
    ap75: float
    ap_medium: float
    ap_large: float
    ar: float
    ar50: float
    ar75: float
    ar_medium: float
    ar_large: float


def keypoint_ap(dataset: KeypointDataset, results: Sequence[dict[str, Any]]) -> KeypointAP:
    """AP and AR of results on all pictures of a data set; 0 with no results.

    Args:
        dataset: the ground truth; pictures without a result count as missed.
        results: COCO's result format: image_id, category_id (1), keypoints (51 numbers: x, y in
            pixel indices of the frame, score), score. Not changed.

    Raises:
        InputError: an annotation without box or area or with other than 17 keypoints; a result with
            fields missing, with other than 17 keypoints or on a picture that the data set lacks; numbers that
            are none, or not finite.
    """
    truth = _index(dataset.content["images"], _truth(dataset))
    found = _index(dataset.content["images"], _found(dataset, results))
    evaluation = COCOeval(truth, found, iouType="keypoints")
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return KeypointAP(*(float("nan") if value == -1 else float(value) for value in evaluation.stats))


def _index(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> COCO:
    index = COCO()
    index.dataset = {"images": images, "annotations": annotations, "categories": _CATEGORIES}
    with contextlib.redirect_stdout(io.StringIO()):
        index.createIndex()
    return index


def _truth(dataset: KeypointDataset) -> list[dict[str, Any]]:
    """The annotations as pycocotools wants them.

    Ids are given anew from 1, because COCOeval takes a match with an annotation of id 0 for none.
    """
    annotations = []
    for number, given in enumerate(dataset.content["annotations"], 1):
        where = f"{dataset.name}: annotation {given.get('id')}"
        keypoints = _coordinates(given, where)
        area, box = given.get("area"), given.get("bbox")
        # counted here: by a num_keypoints that is 0 beside labelled keypoints, COCOeval leaves the person out
        crowd, labelled = int(given.get("iscrowd") or 0), sum(value > 0 for value in keypoints[2::3])
        boxed = isinstance(box, list) and len(box) == 4 and _finite(box)
        measured = _finite([area]) and area >= 0
        if not (boxed and measured and (area > 0 or not is_usable({**given, "iscrowd": crowd}))):
            # of an OKS that is NaN, COCOeval takes everything for right, and of an area of 0 all for wrong
            got = f"area {area!r} and bbox {box!r}"
            raise InputError(
                f"{where}: {got}, expected pixels^2 above 0 and [x, y, width, height]; OKS is relative to them (COCO's "
                "area is that of the person's outline)"
            )
        # shallow: COCOeval adds keys to the dict, and changes none of its values
        derived = {"iscrowd": crowd, "num_keypoints": labelled}
        annotations.append({**given, **derived, "id": number, "category_id": _CATEGORY})
    return annotations


def _found(dataset: KeypointDataset, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results with id, box and area, as pycocotools' `loadRes` derives them from the keypoints."""
    known = {image["id"] for image in dataset.content["images"]}
    found = []
    for number, given in enumerate(results, 1):
        where = f"result {number}"
        keypoints = _coordinates(given, where)
        if given.get("image_id") not in known:
            raise InputError(f"{where}: image_id {given.get('image_id')!r} is not in {dataset.name}")
        if not _finite([given.get("score")]):
            raise InputError(f"{where}: score is {given.get('score')!r}, expected a number")
        left, right, top, bottom = min(keypoints[::3]), max(keypoints[::3]), min(keypoints[1::3]), max(keypoints[1::3])
        width, height = right - left, bottom - top
        derived = {"id": number, "category_id": _CATEGORY, "area": width * height, "bbox": [left, top, width, height]}
        found.append({**given, **derived})
    return found


def _coordinates(item: dict[str, Any], where: str) -> list[float]:
    keypoints = item.get("keypoints")
    if not isinstance(keypoints, list) or len(keypoints) != _COORDINATES:
        count = len(keypoints) if isinstance(keypoints, list) else type(keypoints).__name__
        raise InputError(f"{where}: keypoints are {count}, expected a list of {_COORDINATES} numbers")
    if not _finite(keypoints):
        odd = next(one for one in keypoints if not _finite([one]))
        raise InputError(f"{where}: {odd!r:.40} among its keypoints, expected {_COORDINATES} finite numbers")
    return keypoints


def _finite(values: list[Any]) -> bool:
    """Whether all are numbers that a float can hold."""
    return all(isinstance(value, Real) for value in values) and all(abs(value) <= _LARGEST for value in values)

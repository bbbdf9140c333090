from __future__ import annotations

import contextlib
import copy
import io
from dataclasses import astuple
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from danet.errors import InputError
from danet_evaluation.coco import KeypointDataset, load_split
from danet_evaluation.keypoint_ap import keypoint_ap

POINTS = np.column_stack((np.linspace(12, 68, 17), np.linspace(22, 98, 17)))


def _result(image_id: int, points: Any, score: float) -> dict[str, Any]:
    triples = np.column_stack((np.asarray(points, np.float64), np.ones(17)))
    return {"image_id": image_id, "category_id": 1, "keypoints": triples.reshape(-1).tolist(), "score": score}


def _by_hand(dataset: KeypointDataset, results: list[dict[str, Any]]) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(dataset.content) | {"categories": [{"id": 1, "name": "person"}]}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def _crowded(rng: np.random.Generator, annotate: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Ten pictures of persons of all sizes, crowds, unlabelled ones, and predictions of mixed quality."""
    annotations, results = [], []
    for image_id in range(1, 11):
        for _ in range(rng.integers(1, 24 if image_id == 5 else 5)):
            size = rng.uniform(15, 300)
            box = (*rng.uniform(0, 300, 2), size * 0.6, size)
            points = np.array(box[:2]) + rng.random((17, 2)) * box[2:]
            item = annotate(image_id, len(annotations) + 1, points, box, iscrowd=int(rng.random() < 0.1))
            hidden = rng.random(17) < rng.choice([0.2, 1.0], p=[0.85, 0.15])
            item["keypoints"] = np.column_stack((points, np.where(hidden, 0, 2))).reshape(-1).tolist()
            item["num_keypoints"] = int((~hidden).sum())
            annotations.append(item)
            for _ in range(rng.integers(0, 3)):
                noisy = points + rng.normal(0, size * rng.choice([0.01, 0.04, 0.1]), (17, 2))
                results.append(_result(image_id, noisy, float(rng.random())))
    return annotations, results


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_pycocotools(write_folder: Any, annotate: Any, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    annotations, results = _crowded(np.random.default_rng(seed), annotate)
    dataset = load_split(write_folder(list(range(1, 11)), annotations), "val")
    before = copy.deepcopy((dataset.content, results))
    figures = keypoint_ap(dataset, results)
    assert capsys.readouterr() == ("", "")
    assert (dataset.content, results) == before
    assert 0.05 < figures.ap < 0.95
    assert list(astuple(figures)) == pytest.approx(_by_hand(dataset, results), abs=1e-9)


def test_equals_pycocotools_on_people17(people17: Path) -> None:
    dataset = load_split(people17, "val").first(300)
    rng = np.random.default_rng(0)
    results = [
        _result(person.image_id, person.keypoints + rng.normal(0, 4, (17, 2)), float(rng.random()))
        for person in dataset.persons
    ]
    figures = list(astuple(keypoint_ap(dataset, results)))
    expected = [float("nan") if value == -1 else value for value in _by_hand(dataset, results)]
    assert figures == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_perfect_predictions(write_folder: Any, annotate: Any) -> None:
    # annotation id 0, which COCOeval by itself would take for "not matched"
    annotations = [annotate(1, 0, POINTS), annotate(2, 1, POINTS * 3, (30, 60, 180, 240))]
    dataset = load_split(write_folder([1, 2], annotations), "val")
    figures = keypoint_ap(dataset, [_result(1, POINTS, 0.9), _result(2, POINTS * 3, 0.8)])
    assert astuple(figures) == pytest.approx((1.0,) * 10)


def test_no_results_are_zeros_and_an_empty_class_is_nan(write_folder: Any, annotate: Any) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, POINTS)]), "val")
    figures = keypoint_ap(dataset, [])
    assert (figures.ap, figures.ap50, figures.ap_medium, figures.ar, figures.ar_medium) == (0,) * 5
    assert isnan(figures.ap_large)
    assert isnan(figures.ar_large)


def test_one_of_two_found_by_hand(write_folder: Any, annotate: Any) -> None:
    # recall stops at 0.5: precision 1 at 51 of the 101 recall points
    annotations = [annotate(1, 1, POINTS), annotate(2, 2, POINTS)]
    dataset = load_split(write_folder([1, 2], annotations), "val")
    figures = keypoint_ap(dataset, [_result(1, POINTS, 0.9)])
    assert figures.ap == pytest.approx(51 / 101)
    assert figures.ar == 0.5


def test_optional_fields_are_derived(write_folder: Any, annotate: Any) -> None:
    item = annotate(1, 1, POINTS)
    del item["iscrowd"], item["num_keypoints"], item["category_id"]
    dataset = load_split(write_folder([1], [item]), "val")
    assert keypoint_ap(dataset, [_result(1, POINTS, 0.9)]).ap == pytest.approx(1)


def test_the_number_of_keypoints_is_counted(write_folder: Any, annotate: Any) -> None:
    """Some converters write 0 for all; COCOeval would leave such persons out, and give no AP at all."""
    annotations = [annotate(1, 1, POINTS, num_keypoints=0), annotate(2, 2, POINTS, num_keypoints=0)]
    dataset = load_split(write_folder([1, 2], annotations), "val")
    assert keypoint_ap(dataset, [_result(1, POINTS, 0.9)]).ar == 0.5


def test_crowds_and_the_unlabelled_need_no_area(write_folder: Any, annotate: Any) -> None:
    crowd = annotate(1, 2, POINTS, area=0, iscrowd=1)
    unlabelled = annotate(1, 3, POINTS, area=0, keypoints=[0] * 51)
    dataset = load_split(write_folder([1], [annotate(1, 1, POINTS), crowd, unlabelled]), "val")
    assert keypoint_ap(dataset, [_result(1, POINTS, 0.9)]).ap == pytest.approx(1)


def test_whom_nobody_can_crop_is_a_miss(write_folder: Any, annotate: Any) -> None:
    flat = annotate(1, 2, POINTS, (10, 20, 0, 0))
    assert flat["area"] == 0
    dataset = load_split(write_folder([1], [annotate(1, 1, POINTS), flat]), "val")
    assert keypoint_ap(dataset, [_result(1, POINTS, 0.9)]).ar == 0.5


def test_no_word_on_crowds_is_no_crowd(write_folder: Any, annotate: Any) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, POINTS, iscrowd=None)]), "val")
    assert keypoint_ap(dataset, [_result(1, POINTS, 0.9)]).ap == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"area": None}, "area None"),
        ({"area": float("nan")}, "area nan"),
        ({"area": float("inf")}, "area inf"),
        ({"area": -1.0}, "area -1.0"),
        ({"area": 0}, "area 0 and bbox .*, expected pixels\\^2 above 0"),
        ({"area": 0, "num_keypoints": 0}, "area 0"),
        ({"iscrowd": 1, "bbox": "wide"}, "bbox 'wide'"),
        ({"iscrowd": 1, "bbox": [0, 0, float("nan"), 1]}, r"bbox \[0, 0, nan, 1\]"),
        ({"iscrowd": 1, "keypoints": [None] * 51}, "None among its keypoints, expected 51 finite numbers"),
        ({"iscrowd": 1, "keypoints": ["x"] * 51}, "'x' among its keypoints"),
        ({"keypoints": [1, 1, 2]}, "keypoints are 3, expected a list of 51"),
    ],
)
def test_annotations_refused(write_folder: Any, annotate: Any, change: dict[str, Any], message: str) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, POINTS) | change]), "val")
    with pytest.raises(InputError, match=message):
        keypoint_ap(dataset, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 8}, "image_id 8 is not in"),
        ({"score": None}, "score is None"),
        ({"score": float("nan")}, "score is nan"),
        ({"keypoints": [float("inf")] * 51}, "inf among its keypoints"),
        ({"keypoints": None}, "keypoints are NoneType"),
        ({"keypoints": [0.0] * 52}, "keypoints are 52"),
    ],
)
def test_results_refused(write_folder: Any, annotate: Any, change: dict[str, Any], message: str) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, POINTS)]), "val")
    with pytest.raises(InputError, match=message):
        keypoint_ap(dataset, [_result(1, POINTS, 0.9) | change])

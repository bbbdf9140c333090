from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet_evaluation.coco import load_split
from danet_evaluation.detections import load_detections
from danet_evaluation.evaluate import evaluate
from danet_evaluation.predict import persons_by_image, predict_on_detections, predict_on_truth

POINTS = np.arange(34).reshape(17, 2)
BOX = (10, 20, 60, 80)


def _points(result: dict[str, Any]) -> np.ndarray:
    return np.array(result["keypoints"]).reshape(17, 3)


def test_keypoints_come_back_in_the_frame(
    write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any
) -> None:
    annotations = [
        annotate(1, 1, POINTS, (10, 20, 60, 80)),
        annotate(2, 2, POINTS, (5, 8, 96, 128)),
        annotate(1, 3, POINTS, (30, 30, 30, 40)),
    ]
    dataset = load_split(write_folder([1, 2], annotations), "val")
    done: list[int] = []
    results = predict_on_truth(estimator, dataset, done.append)
    assert [person.id for person in persons_by_image(dataset)] == [1, 3, 2]
    assert [result["image_id"] for result in results] == [1, 1, 2]
    for result, box in zip(results, [(10, 20, 60), (30, 30, 30), (5, 8, 96)], strict=True):
        assert np.allclose(_points(result)[:, :2], expected_in(*box), atol=1e-3)
        assert np.allclose(_points(result)[:, 2], 0.8)
        assert result["score"] == pytest.approx(0.8)
        assert result["category_id"] == 1
    assert done == [2, 1]
    json.dumps(results)


def test_gaussians_are_found_within_a_third_of_a_cell(
    write_folder: Any, annotate: Any, gaussian_estimator: PoseEstimator, expected_in: Any
) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, POINTS, BOX)]), "val")
    (result,) = predict_on_truth(gaussian_estimator, dataset)
    cell = 4 * 60 / 192
    assert np.abs(_points(result)[:, :2] - expected_in(10, 20, 60)).max() < cell / 3


def test_missing_picture(write_folder: Any, annotate: Any, estimator: PoseEstimator) -> None:
    folder = write_folder([1, 2], [annotate(1, 1, POINTS), annotate(2, 2, POINTS)])
    (folder / "images" / "002.png").unlink()
    with pytest.raises(InputError, match=r"002\.png: no such file"):
        predict_on_truth(estimator, load_split(folder, "val"))


def _detection(image_id: int, score: float, box: Any = BOX, category: int = 1) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category, "bbox": list(box), "score": score}


@pytest.fixture
def write_detections(tmp_path: Path) -> Any:
    def write(items: Any) -> Path:
        path = tmp_path / "detections.json"
        path.write_text(json.dumps(items))
        return path

    return write


@pytest.mark.parametrize(("empty_picture_score", "ap"), [(0.5, 1.0), (0.95, 0.5)])
def test_the_detector_protocol_by_hand(
    write_folder: Any,
    annotate: Any,
    write_detections: Any,
    estimator: PoseEstimator,
    expected_in: Any,
    empty_picture_score: float,
    ap: float,
) -> None:
    """One person, found twice, and a false alarm elsewhere, which costs half of AP where it scores higher."""
    dataset = load_split(write_folder([1, 2], [annotate(1, 1, expected_in(10, 20, 60), BOX)]), "val")
    detections = load_detections(
        write_detections(
            [
                _detection(2, empty_picture_score, (40, 40, 60, 80)),
                _detection(1, 0.6, (10.5, 20, 60, 80)),  # the same person again: NMS takes it away
                _detection(1, 0.9),
                _detection(1, 0.99, category=3),  # no person
                _detection(1, 0.99, (30, 30, 0, 10)),  # nothing to crop
                _detection(7, 0.99),  # not in the data set
            ]
        )
    )
    assert detections.count(dataset.pictures) == 3
    done: list[int] = []
    results = predict_on_detections(estimator, dataset, detections, done.append)
    assert [(result["image_id"], pytest.approx(result["score"])) for result in results] == [
        (1, 0.9 * 0.8),
        (2, empty_picture_score * 0.8),
    ]
    assert np.allclose(_points(results[0])[:, :2], expected_in(10, 20, 60), atol=1e-3)
    assert sum(done) == 3
    report = evaluate(estimator, dataset, detections)
    assert report.figures.ap == pytest.approx(ap)
    assert report.boxes == "detections.json"


def test_detections_of_another_split(
    write_folder: Any, annotate: Any, write_detections: Any, estimator: PoseEstimator
) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, POINTS)]), "val")
    with pytest.raises(InputError, match="another split"):
        predict_on_detections(estimator, dataset, load_detections(write_detections([_detection(9, 0.5)])))


@pytest.mark.parametrize(
    "content",
    [
        3,
        {"a": 1},
        [{"category_id": 1}],
        [_detection(1, 0.5, (1, 2, 3))],
        [_detection(1, float("nan"))],
        [_detection(1, 0.5, (1, 2, "wide", 3))],
    ],
)
def test_malformed_detections(write_detections: Any, content: Any) -> None:
    with pytest.raises(InputError, match="not a list of detections"):
        load_detections(write_detections(content))


def test_missing_detections(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_detections(tmp_path / "absent.json")

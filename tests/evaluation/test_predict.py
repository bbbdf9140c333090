from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import danet_evaluation.predict
from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet_evaluation.coco import KeypointDataset, load_split
from danet_evaluation.detections import Detections, ImageDetections
from danet_evaluation.evaluate import run
from danet_evaluation.predict import persons_by_image, predict_on_detections, predict_on_truth
from danet_evaluation.predictions import Predictions

from .conftest import PixelBackend

POINTS = np.arange(34).reshape(17, 2)
BOX = (10, 20, 60, 80)


def _detections(boxes: dict[int, list[tuple[float, ...]]]) -> Detections:
    """From image id to x, y, width, height, score."""
    tables = {image_id: np.array(rows, np.float64) for image_id, rows in boxes.items()}
    return Detections(
        "boxes.json",
        {
            image_id: ImageDetections(np.column_stack((rows[:, :2], rows[:, :2] + rows[:, 2:4])), rows[:, 4])
            for image_id, rows in tables.items()
        },
    )


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
    found = predict_on_truth(estimator, dataset, done.append)
    assert [person.id for person in persons_by_image(dataset)] == [1, 3, 2]
    assert found.image_ids == (1, 1, 2)
    for points, box in zip(found.keypoints, [(10, 20, 60), (30, 30, 30), (5, 8, 96)], strict=True):
        assert np.allclose(points, expected_in(*box), atol=1e-3)
    assert np.allclose(found.scores, 0.8)
    assert np.allclose(found.person_scores, 0.8)
    assert done == [2, 1]


def test_gaussians_are_found_within_a_third_of_a_cell(
    write_folder: Any, annotate: Any, gaussian_estimator: PoseEstimator, expected_in: Any
) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, POINTS, BOX)]), "val")
    found = predict_on_truth(gaussian_estimator, dataset)
    cell = 4 * 60 / 192
    assert np.abs(found.keypoints[0] - expected_in(10, 20, 60)).max() < cell / 3


def _many_pictures(write_folder: Any, annotate: Any) -> KeypointDataset:
    """23 persons on 19 pictures: one to three on each."""
    rng = np.random.default_rng(8)
    image_ids = [*range(1, 20), 4, 4, 9, 17]
    boxes = [(*rng.uniform(0, 80, 2), *rng.uniform(20, 60, 2)) for _ in image_ids]
    pairs = zip(image_ids, boxes, strict=True)
    annotations = [annotate(image_id, number, POINTS, box) for number, (image_id, box) in enumerate(pairs, 1)]
    return load_split(write_folder(list(range(1, 20)), annotations), "val")


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("limit", [{}, {"CHUNK_PERSONS": 5}, {"CHUNK_BYTES": 2 * 200 * 150 * 3}])
def test_batches_over_pictures_change_nothing(
    write_folder: Any, annotate: Any, open_fixed: Any, monkeypatch: Any, limit: dict[str, int], flip_test: bool
) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(danet_evaluation.predict, name, value)
    dataset = _many_pictures(write_folder, annotate)
    estimator = open_fixed(PixelBackend(), flip_test=flip_test)
    found = predict_on_truth(estimator, dataset)
    one_by_one = [
        estimator.infer(picture.read(), np.stack([person.box for person in persons]))
        for _, picture, persons in dataset.images()
    ]
    assert np.array_equal(found.keypoints, np.concatenate([poses.keypoints for poses in one_by_one]))
    assert np.array_equal(found.scores, np.concatenate([poses.scores for poses in one_by_one]))
    assert np.array_equal(found.person_scores, np.concatenate([poses.person_scores for poses in one_by_one]))
    assert len(np.unique(found.scores)) > 20  # else any mix-up would pass
    images = zip(one_by_one, dataset.images(), strict=True)
    expected = [item for poses, (image_id, _, _) in images for item in poses.to_coco(image_id)]
    assert found.to_coco() == expected


def test_batches_fill_where_a_picture_shows_one_person(write_folder: Any, annotate: Any, open_fixed: Any) -> None:
    annotations = [annotate(image_id, image_id, POINTS) for image_id in range(1, 81)]
    dataset = load_split(write_folder(list(range(1, 81)), annotations), "val")
    backend = PixelBackend()
    predict_on_truth(open_fixed(backend, batch_size=16), dataset)
    assert sorted(backend.batches) == [16] * 5


def test_pictures_are_read_no_further_ahead_than_needed(
    write_folder: Any, annotate: Any, open_fixed: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(danet_evaluation.predict, "CHUNK_PERSONS", 3)
    annotations = [annotate(image_id, image_id, POINTS) for image_id in range(1, 31)]
    dataset = load_split(write_folder(list(range(1, 31)), annotations), "val")
    read: list[Path] = []
    plain = danet_evaluation.coco.read_image
    monkeypatch.setattr(danet_evaluation.coco, "read_image", lambda path: read.append(path) or plain(path))
    ahead: list[int] = []
    predict_on_truth(open_fixed(), dataset, lambda _: ahead.append(len(read) - len(ahead)))
    assert max(ahead) <= 3 * danet_evaluation.predict.CHUNKS_AT_ONCE
    assert len(ahead) == len(read) == 30


def test_missing_picture(write_folder: Any, annotate: Any, estimator: PoseEstimator) -> None:
    folder = write_folder([1, 2], [annotate(1, 1, POINTS), annotate(2, 2, POINTS)])
    (folder / "images" / "002.png").unlink()
    with pytest.raises(InputError, match=r"002\.png: no such file"):
        predict_on_truth(estimator, load_split(folder, "val"))


def test_an_estimator_of_other_boxes_is_refused(write_folder: Any, annotate: Any, open_fixed: Any) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, POINTS)]), "val")
    with pytest.raises(InputError, match="boxes as xywh; open it with box_format='xyxy'"):
        predict_on_truth(open_fixed(box_format="xywh"), dataset)


def test_box_scores_weigh_and_other_pictures_are_left_out(
    write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any
) -> None:
    dataset = load_split(write_folder([1, 2], [annotate(1, 1, POINTS)]), "val")
    boxes = {2: [(40, 40, 60, 80, 0.5)], 1: [(*BOX, 0.6), (5, 8, 96, 128, 0.9)], 7: [(*BOX, 0.99)]}
    done: list[int] = []
    found = predict_on_detections(estimator, dataset, _detections(boxes), done.append)
    assert found.image_ids == (1, 1, 2)
    assert found.person_scores.tolist() == pytest.approx([0.6 * 0.8, 0.9 * 0.8, 0.5 * 0.8])
    assert np.allclose(found.keypoints[0], expected_in(10, 20, 60), atol=1e-3)
    assert done == [2, 1]


@pytest.mark.parametrize(
    ("false_alarm", "least", "figures"),
    [
        # by score: A, the false alarm, B. At OKS up to 0.70 precision is 1 up to a recall of 1/3 (34 of the
        # 101 points 0, 0.01, ...) and 2/3 up to 2/3 (33 more): 56/101; above, B is wrong too: 34/101
        (0.85, None, ((56 + 34) / 202, 56 / 101, 34 / 101, 0.5)),
        # last, it costs nothing: 67 points up to 0.70, 34 above
        (0.3, None, (0.5, 67 / 101, 34 / 101, 0.5)),
        # without the boxes below 0.86 only A is left
        (0.85, 0.86, (34 / 101, 34 / 101, 34 / 101, 1 / 3)),
    ],
)
def test_the_detector_protocol_by_hand(
    write_folder: Any,
    annotate: Any,
    estimator: PoseEstimator,
    expected_in: Any,
    false_alarm: float,
    least: float | None,
    figures: tuple[float, ...],
) -> None:
    """Three persons on four pictures.

    A is found exactly, and again half a pixel off, which NMS takes away. All keypoints of B are 5.5
    pixels off: OKS is the mean of exp(-5.5^2 / (2 * 4800 * (2 sigma)^2)) = 0.7365, right at the five
    thresholds 0.50 ... 0.70 and wrong at 0.75 ... 0.95. C has no detection. On the fourth picture, where
    nobody is, there is a false alarm. So at most 2 of 3 are recalled at five thresholds, 1 of 3 at the
    others, and AR is (5 * 2/3 + 5 * 1/3) / 10 = 0.5.
    """
    annotations = [annotate(image_id, image_id, expected_in(10, 20, 60), BOX) for image_id in (1, 2, 3)]
    dataset = load_split(write_folder([1, 2, 3, 4], annotations), "val")
    boxes = {
        1: [(10.5, 20, 60, 80, 0.6), (*BOX, 0.9)],
        2: [(15.5, 20, 60, 80, 0.8)],
        4: [(40, 40, 60, 80, false_alarm)],
        9: [(*BOX, 1.0)],  # of no picture of the data set
    }
    detections = _detections(boxes) if least is None else _detections(boxes).at_least(least)
    done = run(estimator, dataset, detections)
    found = done.evaluation.figures
    assert (found.ap, found.ap50, found.ap75, found.ar) == pytest.approx(figures, abs=1e-12)
    assert done.evaluation.protocol.boxes == "boxes.json"
    assert done.evaluation.protocol.min_box_score == least
    assert done.evaluation.pck is None
    assert len(done.predictions) == (4 if least is None else 1)  # before NMS


def test_detections_of_another_split(write_folder: Any, annotate: Any, estimator: PoseEstimator) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, POINTS)]), "val")
    for detections in (_detections({9: [(*BOX, 0.5)]}), _detections({1: [(*BOX, 0.5)]}).at_least(0.6)):
        with pytest.raises(InputError, match=r"no person on any of the 1 pictures of set/val; .* another split"):
            predict_on_detections(estimator, dataset, detections)


def test_predictions_of_chosen_pictures(write_folder: Any, annotate: Any, predictions_at: Any) -> None:
    dataset = load_split(write_folder([1, 2, 3], [annotate(i, i, POINTS + i) for i in (1, 2, 3)]), "val")
    predictions: Predictions = predictions_at(dataset)
    part = predictions.on([3, 1])
    assert part.image_ids == (1, 3)
    assert np.array_equal(part.keypoints, predictions.keypoints[[0, 2]])
    assert len(predictions.on([])) == 0
    assert predictions.on([]).to_coco() == []


@pytest.mark.slow
def test_the_embedded_model_in_batches_of_pictures(people17: Path) -> None:
    dataset = load_split(people17, "val").first(9)
    with PoseEstimator("danet72", threads=1) as estimator:
        found = predict_on_truth(estimator, dataset)
        alone = [estimator.infer(person.picture.read(), person.box[None]) for person in dataset.persons]
    # OpenVINO may take another kernel for another batch size: rounding, no more
    assert np.abs(found.keypoints - np.concatenate([poses.keypoints for poses in alone])).max() < 0.01
    assert np.abs(found.scores - np.concatenate([poses.scores for poses in alone])).max() < 1e-4
    assert astuple(found[np.array([2])])[0] == (dataset.persons[2].image_id,)

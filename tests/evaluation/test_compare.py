from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest

from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet.model_spec import Metric, ModelSpec
from danet_evaluation.coco import KeypointDataset, load_split
from danet_evaluation.compare import compare, difference, recorded_ap
from danet_evaluation.detections import Detections, ImageDetections
from danet_evaluation.evaluate import evaluate, run

from .conftest import SPEC, FixedBackend


@pytest.fixture
def dataset(write_folder: Any, annotate: Any, expected_in: Any) -> KeypointDataset:
    """Two persons where FixedBackend finds them, in boxes of 60 x 80 and 96 x 128."""
    annotations = [
        annotate(1, 1, expected_in(10, 20, 60), (10, 20, 60, 80)),
        annotate(1, 2, expected_in(5, 8, 96), (5, 8, 96, 128)),
    ]
    return load_split(write_folder([1], annotations), "val")


def test_a_cell_apart(open_fixed: Any, estimator: PoseEstimator, dataset: KeypointDataset) -> None:
    # a cell is 4 crop pixels of 192: 60 / 48 = 1.25 and 96 / 48 = 2 frame pixels
    beside = compare(open_fixed(FixedBackend(right=1)), estimator, dataset)
    assert beside.persons == 2
    assert beside.distance_px == pytest.approx((1.25 + 2) / 2, abs=1e-5)
    assert beside.distance_relative == pytest.approx((1.25 / sqrt(4800) + 2 / sqrt(12288)) / 2, abs=1e-7)
    assert beside.reference_ap == pytest.approx(1.0)
    assert beside.ap == pytest.approx(1.0)  # OKS 0.98 and more
    far = compare(open_fixed(FixedBackend(right=4)), estimator, dataset)
    assert far.distance_px == pytest.approx(4 * beside.distance_px, abs=1e-5)
    assert far.ap_difference == far.ap - far.reference_ap < 0


def test_a_model_beside_itself(estimator: PoseEstimator, dataset: KeypointDataset) -> None:
    done: list[int] = []
    beside = compare(estimator, estimator, dataset, progress=done.append)
    assert (beside.distance_px, beside.distance_relative, beside.ap_difference) == (0, 0, 0)
    assert sum(done) == 4


def test_distances_with_a_detector_count_what_nms_takes_away(
    open_fixed: Any, estimator: PoseEstimator, dataset: KeypointDataset
) -> None:
    boxes = np.array([[10, 20, 70, 100], [10.5, 20, 70.5, 100], [60, 30, 120, 110]])
    detections = Detections("boxes.json", {1: ImageDetections(boxes, np.array([0.9, 0.8, 0.7]))})
    beside = compare(open_fixed(FixedBackend(right=1)), estimator, dataset, detections)
    assert beside.persons == 3
    assert beside.distance_px == pytest.approx(1.25, abs=1e-5)


def test_other_crops_are_refused(open_fixed: Any, estimator: PoseEstimator, dataset: KeypointDataset) -> None:
    wide = open_fixed(FixedBackend(), replace(SPEC, name="wide", box_padding=1.25))
    with pytest.raises(InputError, match=r"wide has box_padding 1\.25, its reference fixed 1\.0; expected the same"):
        compare(wide, estimator, dataset)


def test_runs_on_other_boxes_are_refused(estimator: PoseEstimator, dataset: KeypointDataset) -> None:
    detections = Detections("boxes.json", {1: ImageDetections(np.array([[1.0, 2, 30, 40]]), np.ones(1))})
    with pytest.raises(InputError, match=r"run on 2 boxes of set/val, its reference fixed on 1 of set/val"):
        difference(run(estimator, dataset), run(estimator, dataset, detections))


def _recorded(*metrics: tuple[float, str, str]) -> ModelSpec:
    return ModelSpec(name="x", metrics=tuple(Metric("AP", value, data, method) for value, data, method in metrics))


def test_recorded_ap_is_of_the_same_data_and_protocol(estimator: PoseEstimator, dataset: KeypointDataset) -> None:
    evaluation = evaluate(estimator, dataset)
    flipped = replace(evaluation, protocol=replace(evaluation.protocol, flip_test=True))
    spec = _recorded(
        (0.1, "set/train", "annotated boxes"),
        (0.2, "set val, 2 persons", "no flip test, annotated boxes"),
        (0.3, "set val, 2 persons", "flip test, annotated boxes"),
        (0.4, "set val, 852 persons", "no flip test, annotated boxes"),
        (0.5, "set/val", "boxes of COCO_val2017_detections_AP_H_56_person.json"),
    )
    assert recorded_ap(spec, evaluation) == 0.2
    assert recorded_ap(spec, flipped) == 0.3
    assert recorded_ap(_recorded((0.6, "set/val", "averaged weights during training, annotated boxes")), flipped) == 0.6
    assert recorded_ap(ModelSpec(name="x"), evaluation) is None
    boxes = "COCO_val2017_detections_AP_H_56_person.json"
    detected = replace(evaluation, protocol=replace(evaluation.protocol, boxes=boxes))
    assert recorded_ap(spec, detected) == 0.5
    for least, recorded in ((0.0, 0.5), (0.2, None)):
        some = replace(evaluation, protocol=replace(detected.protocol, min_box_score=least))
        assert recorded_ap(spec, some) == recorded


def test_recorded_ap_is_of_the_same_decoder(estimator: PoseEstimator, dataset: KeypointDataset) -> None:
    evaluation = evaluate(estimator, dataset)
    spec = _recorded((0.1, "set/val", "annotated boxes"), (0.2, "set/val", "annotated boxes, decoder dark"))
    assert recorded_ap(spec, evaluation) == 0.1
    assert recorded_ap(spec, evaluation, spec.decoded_by("dark")) == 0.2
    assert recorded_ap(spec.decoded_by("dark"), evaluation) == 0.2
    alone = _recorded((0.1, "set/val", "annotated boxes"))
    assert recorded_ap(alone, evaluation, alone.decoded_by("offset")) == 0.1
    assert recorded_ap(alone, evaluation, alone.decoded_by("dark")) is None


def test_recorded_ap_is_of_the_same_padding(estimator: PoseEstimator, dataset: KeypointDataset) -> None:
    evaluation = evaluate(estimator, dataset)
    spec = _recorded((0.1, "set/val", "annotated boxes"), (0.2, "set/val", "annotated boxes, box padding 1.5"))
    assert spec.box_padding == 1.25
    assert recorded_ap(spec, evaluation) == 0.1
    assert recorded_ap(spec, evaluation, spec.padded_by(1.5)) == 0.2
    assert recorded_ap(spec.padded_by(1.5), evaluation) == 0.2
    assert recorded_ap(spec, evaluation, spec.padded_by(1.4)) is None


def test_the_embedded_model_records_what_the_evaluator_looks_for(
    estimator: PoseEstimator, dataset: KeypointDataset
) -> None:
    evaluation = replace(evaluate(estimator, dataset), data="people17/val", persons=852)
    with PoseEstimator("danet72", threads=1) as embedded:
        assert recorded_ap(embedded.spec, evaluation) is not None
        assert recorded_ap(embedded.spec, replace(evaluation, persons=100)) is None

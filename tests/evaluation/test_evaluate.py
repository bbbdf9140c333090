from __future__ import annotations

import json
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet_evaluation.coco import load_split
from danet_evaluation.detections import Detections, ImageDetections
from danet_evaluation.evaluate import evaluate, measure, run
from danet_evaluation.keypoint_ap import keypoint_ap

from .conftest import FixedBackend

BOX = (10, 20, 60, 80)


def test_per_source(write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any) -> None:
    """The model is right on lsp, and a box's width off on the street."""
    here = expected_in(10, 20, 60)
    annotations = [annotate(1, 1, here + np.array((60, 0)), BOX), annotate(2, 2, here, BOX)]
    dataset = load_split(write_folder([1, 2], annotations, source=["street", "lsp"]), "val")
    report = evaluate(estimator, dataset)
    assert (report.boxes, report.pictures, report.persons) == ("ground truth", 2, 2)
    assert not report.protocol.flip_test
    assert [(part.source, part.persons, part.figures.ap) for part in report.sources] == [
        ("street", 1, 0.0),
        ("lsp", 1, pytest.approx(1.0)),
    ]
    shares = [report.pck, *(part.pck for part in report.sources)]
    assert [(share.mean, share.labelled) for share in shares if share] == [(0.5, 24), (0.0, 12), (1.0, 12)]


def test_to_dict_is_json(write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, expected_in(10, 20, 60), BOX)], source=["lsp"]), "val")
    content = evaluate(estimator, dataset).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["figures"]["ap"] == pytest.approx(1.0)
    assert content["figures"]["ap_large"] is None  # no large person
    assert content["pck"]["per_joint"]["left_shoulder"] == 1.0
    assert content["protocol"] == {"boxes": "ground truth", "min_box_score": None, "flip_test": False}
    assert content["sources"][0]["source"] == "lsp"
    assert content["sources"][0]["pck"]["groups"]["Ankle"] == 1.0


def test_without_sources(write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, expected_in(10, 20, 60), BOX)]), "val")
    report = evaluate(estimator, dataset)
    assert report.sources == ()
    assert report.pck is not None
    assert report.pck.mean == 1.0


def test_a_run_keeps_its_predictions(
    write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any
) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, expected_in(10, 20, 60), BOX)]), "val")
    done = run(estimator, dataset)
    assert done.model == "fixed"
    assert astuple(done.evaluation.figures) == pytest.approx(
        astuple(keypoint_ap(dataset, done.predictions.to_coco())), nan_ok=True
    )
    assert np.allclose(done.predictions.keypoints[0], expected_in(10, 20, 60), atol=1e-3)


def test_people17(people17: Path, predictions_at: Any) -> None:
    dataset = load_split(people17, "val")
    assert dataset.name == "people17/val"  # the name under which checkpoints record their AP
    report = measure(dataset, predictions_at(dataset))
    assert report.persons == 852
    assert report.figures.ap == pytest.approx(1)
    assert {part.source: part.persons for part in report.sources} == {
        "lsp": 300,
        "lspet": 375,
        "fashion": 93,
        "everyday": 84,
    }
    assert [part.figures.ap for part in report.sources] == pytest.approx([1.0] * 4)
    lsp = report.sources[0].pck
    assert lsp is not None
    assert (lsp.mean, lsp.labelled) == (1, 2743)  # of the 240 whose left shoulder and right hip are labelled
    assert [share.group for share in lsp.groups] == ["Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"]


def test_pictures_of_people17_are_run(people17: Path, estimator: PoseEstimator) -> None:
    report = evaluate(estimator, load_split(people17, "val").first(5))
    assert report.persons == 5
    assert 0 <= report.figures.ap < 1


def test_refused(write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any) -> None:
    with pytest.raises(InputError, match=r"set/val: no person .* on 1 pictures, expected at least one"):
        evaluate(estimator, load_split(write_folder([1], []), "val"))
    with pytest.raises(InputError, match=r"set/val: no person .* on 0 pictures"):
        evaluate(estimator, load_split(write_folder([], []), "val"))
    persons = [annotate(1, 1, expected_in(10, 20, 60))]
    dogs = [{"id": 1, "keypoints": ["nose", "tail"]}]
    with pytest.raises(InputError, match=r"set/val has 2 keypoints of its own \(nose, tail\), expected COCO's 17"):
        evaluate(estimator, load_split(write_folder([1], persons, categories=dogs), "val"))
    estimator.spec = replace(estimator.spec, keypoints=("nose",), flip_pairs=(), skeleton=())
    with pytest.raises(InputError, match=r"fixed has 1 keypoints of its own \(nose\), expected COCO's 17"):
        evaluate(estimator, load_split(write_folder([1], persons), "val"))


def test_missing_pictures_are_refused_first(
    write_folder: Any, annotate: Any, open_fixed: Any, expected_in: Any
) -> None:
    persons = [annotate(image, image, expected_in(10, 20, 60)) for image in (1, 2)]
    folder = write_folder([1, 2, 3], persons)
    box = ImageDetections(np.array([[10.0, 20, 70, 100]]), np.ones(1))
    none = ImageDetections(np.empty((0, 4)), np.empty(0))
    (folder / "images" / "003.png").unlink()  # on which nobody is
    dataset, backend = load_split(folder, "val"), FixedBackend()
    evaluate(open_fixed(backend), dataset)
    evaluate(open_fixed(backend), dataset, Detections("boxes", {1: box, 3: none}))
    with pytest.raises(InputError, match=r"val\.json: 1 of 2 pictures are not there, the first is .*003\.png; unpack"):
        evaluate(open_fixed(backend), dataset, Detections("boxes", {1: box, 3: box}))
    (folder / "images" / "002.png").unlink()
    runs = len(backend.batches)
    with pytest.raises(InputError, match=r"val\.json: 1 of 2 pictures are not there, the first is .*002\.png; unpack"):
        evaluate(open_fixed(backend), dataset)
    assert len(backend.batches) == runs


def test_annotations_with_other_keypoints_than_their_category(
    write_folder: Any, annotate: Any, estimator: PoseEstimator
) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 5, np.ones((3, 2)))]), "val")
    with pytest.raises(InputError, match="keypoints are 9, expected a list of 51"):
        evaluate(estimator, dataset)

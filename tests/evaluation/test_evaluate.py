from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet_evaluation.coco import KeypointDataset, load_split
from danet_evaluation.evaluate import evaluate, measure
from danet_evaluation.predict import persons_by_image

BOX = (10, 20, 60, 80)


def _perfect(dataset: KeypointDataset) -> list[dict[str, Any]]:
    return [
        {
            "image_id": person.image_id,
            "category_id": 1,
            "keypoints": np.column_stack((person.keypoints, np.ones(17))).reshape(-1).tolist(),
            "score": 0.5,
        }
        for person in persons_by_image(dataset)
    ]


def test_per_source(write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any) -> None:
    """The model is right on lsp, and a box's width off on the street."""
    here = expected_in(10, 20, 60)
    annotations = [annotate(1, 1, here + np.array((60, 0)), BOX), annotate(2, 2, here, BOX)]
    dataset = load_split(write_folder([1, 2], annotations, source=["street", "lsp"]), "val")
    report = evaluate(estimator, dataset)
    assert (report.boxes, report.pictures, report.persons) == ("ground truth", 2, 2)
    assert [(part.source, part.persons, part.figures.ap) for part in report.sources] == [
        ("street", 1, 0.0),
        ("lsp", 1, pytest.approx(1.0)),
    ]
    assert report.lsp_pck is not None
    assert (report.lsp_pck.mean, report.lsp_pck.labelled) == (1.0, 12)


def test_to_dict_is_json(write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, expected_in(10, 20, 60), BOX)], source=["lsp"]), "val")
    content = evaluate(estimator, dataset).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["figures"]["ap"] == pytest.approx(1.0)
    assert content["figures"]["ap_large"] is None  # no large person
    assert content["lsp_pck"]["per_joint"]["left_shoulder"] == 1.0
    assert content["sources"][0]["source"] == "lsp"


def test_without_sources(write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, expected_in(10, 20, 60), BOX)]), "val")
    report = evaluate(estimator, dataset)
    assert report.sources == ()
    assert report.lsp_pck is None


def test_people17(people17: Path) -> None:
    dataset = load_split(people17, "val")
    report = measure(dataset, _perfect(dataset))
    assert report.persons == 852
    assert report.figures.ap == pytest.approx(1)
    assert {part.source: part.persons for part in report.sources} == {
        "lsp": 300,
        "lspet": 375,
        "fashion": 93,
        "everyday": 84,
    }
    assert [part.figures.ap for part in report.sources] == pytest.approx([1.0] * 4)
    assert report.lsp_pck is not None
    assert report.lsp_pck.mean == 1


def test_pictures_of_people17_are_run(people17: Path, estimator: PoseEstimator) -> None:
    report = evaluate(estimator, load_split(people17, "val").first(5))
    assert report.persons == 5
    assert 0 <= report.figures.ap < 1


def test_refused(write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any) -> None:
    with pytest.raises(InputError, match="no person"):
        evaluate(estimator, load_split(write_folder([1], []), "val"))
    estimator.spec = replace(estimator.spec, keypoints=("nose",), flip_pairs=(), skeleton=())
    with pytest.raises(InputError, match="1 keypoints of its own"):
        evaluate(estimator, load_split(write_folder([1], [annotate(1, 1, expected_in(10, 20, 60))]), "val"))

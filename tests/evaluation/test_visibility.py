from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet_evaluation.coco import load_split
from danet_evaluation.evaluate import run
from danet_evaluation.report import visibility_table
from danet_evaluation.visibility import by_visibility

BOX = (10, 20, 60, 80)


def _hidden(annotation: dict[str, Any], joints: slice, way: float = 100.0) -> dict[str, Any]:
    """The same with some keypoints elsewhere, and hidden."""
    triples = np.array(annotation["keypoints"]).reshape(-1, 3)
    triples[joints] += (way, 0, -1)
    return {**annotation, "keypoints": triples.ravel().tolist()}


def test_hidden_keypoints_told_apart(
    write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any
) -> None:
    """One person wholly right; one whose 7 hidden keypoints are wrong (OKS 10/17); one of whom nothing is in sight."""
    here = expected_in(10, 20, 60)
    annotations = [
        annotate(1, 1, here, BOX),
        _hidden(annotate(2, 2, here, BOX), np.s_[:7]),
        _hidden(annotate(3, 3, here, BOX), np.s_[:]),
    ]
    dataset = load_split(write_folder([1, 2, 3], annotations), "val")
    before = copy.deepcopy(dataset.content)
    found = by_visibility(dataset, run(estimator, dataset).predictions)
    assert (found.labelled, found.hidden) == (51, 24)
    assert [(group.least, group.most, group.persons) for group in found.groups] == [(13, 17, 1), (9, 12, 1), (0, 0, 1)]
    assert [group.figures.ap for group in found.groups] == pytest.approx([1.0, 0.2, 0.0])  # right at 0.50 and 0.55
    assert found.in_sight is not None
    assert found.in_sight.ap == pytest.approx(1.0)
    assert found.in_sight.ar == pytest.approx(1.0)
    assert dataset.content == before
    table = visibility_table(found)
    assert table.caption == "47.1 % of 51 labelled keypoints are hidden (v = 1)"
    assert list(table.columns[0].cells) == [
        "13 to 17 in sight", "9 to 12 in sight", "none in sight", "any, the hidden left out",
    ]  # fmt: skip
    assert list(table.columns[1].cells) == ["1", "1", "1", "2"]


def test_others_on_a_picture_are_no_misses(
    write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any
) -> None:
    """A group's AP is that of its own persons: those of other groups beside them are neither truth nor found."""
    there = (70, 60, 60, 80)
    annotations = [
        _hidden(annotate(1, 1, expected_in(10, 20, 60), BOX), np.s_[:5]),
        annotate(1, 2, expected_in(70, 60, 60), there),
    ]
    dataset = load_split(write_folder([1], annotations), "val")
    found = by_visibility(dataset, run(estimator, dataset).predictions)
    assert [(group.least, group.figures.ap, group.figures.ar) for group in found.groups] == [
        (13, pytest.approx(1.0), pytest.approx(1.0)),
        (9, pytest.approx(0.5), pytest.approx(0.5)),  # OKS 12/17 = 0.706: 0.50 to 0.70
    ]


def test_ids_that_begin_anew_on_each_picture(
    write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any
) -> None:
    here, there = expected_in(10, 20, 60), (70, 60, 60, 80)
    annotations = [
        annotate(1, 1, here, BOX),
        _hidden(annotate(2, 1, here, BOX), np.s_[:5], 0.0),
        annotate(2, 1, expected_in(70, 60, 60), there),
        _hidden(annotate(1, 1, expected_in(70, 60, 60), there), np.s_[:5], 0.0),
    ]
    dataset = load_split(write_folder([1, 2], annotations), "val")
    found = by_visibility(dataset, run(estimator, dataset).predictions)
    assert [(group.persons, group.figures.ap, group.figures.ar) for group in found.groups] == [
        (2, pytest.approx(1.0), pytest.approx(1.0)),
        (2, pytest.approx(1.0), pytest.approx(1.0)),
    ]


def test_nothing_in_sight(write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any) -> None:
    annotations = [_hidden(annotate(1, 1, expected_in(10, 20, 60), BOX), np.s_[:], 0.0)]
    dataset = load_split(write_folder([1], annotations), "val")
    found = by_visibility(dataset, run(estimator, dataset).predictions)
    assert found.in_sight is None
    assert [group.figures.ap for group in found.groups] == pytest.approx([1.0])
    content = found.to_dict()
    assert json.loads(json.dumps(content, allow_nan=False))["in_sight"] is None
    assert list(visibility_table(found).columns[0].cells) == ["none in sight"]


def test_annotations_stay_checked(write_folder: Any, annotate: Any, estimator: PoseEstimator, expected_in: Any) -> None:
    dataset = load_split(write_folder([1], [annotate(1, 1, expected_in(10, 20, 60), BOX)]), "val")
    predictions = run(estimator, dataset).predictions
    del dataset.content["annotations"][0]["area"]
    with pytest.raises(InputError, match="annotation 1: area None"):
        by_visibility(dataset, predictions)

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from danet.errors import InputError
from danet.model_spec import ModelSpec
from danet_evaluation.coco import KeypointDataset, load_split
from danet_evaluation.sheet import GAP, PLATES, TILE, TITLE_HEIGHT, TRUTH, contact_sheet, found_persons

BOX = (10, 20, 60, 80)
GREEN, AMBER, RED = (color for _, color in PLATES)


@pytest.fixture
def dataset(write_folder: Any, annotate: Any, expected_in: Any) -> KeypointDataset:
    """Three persons on two pictures, the first two in neighbouring boxes of one."""
    annotations = [
        annotate(1, 1, expected_in(10, 20, 60), BOX),
        annotate(1, 2, expected_in(50, 20, 60), (50, 20, 60, 80)),
        annotate(2, 3, expected_in(10, 20, 60), BOX),
    ]
    return load_split(write_folder([1, 2], annotations), "val")


def test_each_person_has_the_prediction_of_its_box(dataset: KeypointDataset, predictions_at: Any) -> None:
    mixed = predictions_at(dataset)[np.array([2, 1, 0])]
    found = found_persons(dataset, mixed)
    assert [(one.person.id, one.prediction, one.measure) for one in found] == [(1, 2, 1.0), (2, 1, 1.0), (3, 0, 1.0)]
    alone = found_persons(dataset, predictions_at(dataset)[np.array([1])])
    assert [one.person.id for one in alone] == [2]


def test_tiles_go_from_worst_to_best(dataset: KeypointDataset, predictions_at: Any) -> None:
    predictions = predictions_at(dataset)
    predictions.keypoints[1] += np.float32((40, 0))
    predictions.keypoints[2] += np.float32((6, 0))  # OKS 0.704
    sheet = contact_sheet(dataset, predictions, ModelSpec(name="x"))
    height, width = TILE.input_size
    assert sheet.shape == (TITLE_HEIGHT + GAP + height + GAP, GAP + 3 * (width + GAP), 3)
    corners = [tuple(sheet[TITLE_HEIGHT + GAP + 1, GAP + column * (width + GAP) + 1]) for column in range(3)]
    assert corners == [RED, AMBER, GREEN]


def test_as_many_persons_as_asked_for(dataset: KeypointDataset, predictions_at: Any) -> None:
    one = contact_sheet(dataset, predictions_at(dataset), ModelSpec(name="x"), persons=1)
    assert one.shape[1] == TILE.input_size[1] + 2 * GAP


def test_truth_is_drawn_where_asked_for(dataset: KeypointDataset, predictions_at: Any) -> None:
    predictions = predictions_at(dataset, 9.0)
    for with_truth in (False, True):
        sheet = contact_sheet(dataset, predictions, ModelSpec(name="x"), with_truth=with_truth)
        assert (sheet == TRUTH).all(axis=2).any() == with_truth


def test_a_point_far_outside_ends_no_sheet(dataset: KeypointDataset, predictions_at: Any) -> None:
    predictions = predictions_at(dataset)
    far = tuple(replace(person, keypoints=person.keypoints * np.float32(1e30)) for person in dataset.persons)
    sheet = contact_sheet(replace(dataset, persons=far), predictions, ModelSpec(name="x"))
    assert (sheet == TRUTH).all(axis=2).any()  # the lines to where they lie


def test_nothing_to_show(dataset: KeypointDataset, predictions_at: Any) -> None:
    with pytest.raises(InputError, match="no box on any annotated person"):
        contact_sheet(dataset, predictions_at(dataset).on([]), ModelSpec(name="x"))

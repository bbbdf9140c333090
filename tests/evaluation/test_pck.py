from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from danet_evaluation.pck import box_lengths, head_lengths, pck, torso_diameters


def test_torso_diameter_is_left_shoulder_to_right_hip() -> None:
    truth = np.zeros((2, 17, 2), np.float32)
    truth[:, 5], truth[:, 12] = (10, 10), (40, 50)
    labelled = np.ones((2, 17), bool)
    labelled[1, 12] = False
    lengths = torso_diameters(truth, labelled)
    assert lengths[0] == 50
    assert isnan(lengths[1])


def test_box_and_head_lengths() -> None:
    boxes = np.array([[10, 10, 40, 50]], np.float32)
    assert box_lengths(boxes).tolist() == [40]
    assert head_lengths(boxes).tolist() == pytest.approx([0.6 * 50])


def test_pck_by_hand() -> None:
    truth = np.zeros((3, 3, 2))
    predicted = np.zeros((3, 3, 2))
    predicted[0, 0] = (6, 8)  # exactly 0.2 of 50: found
    predicted[0, 1] = (6, 8.1)  # beyond
    predicted[1, 2] = (100, 0)  # beyond, but unlabelled
    labelled = np.ones((3, 3), bool)
    labelled[1, 1:] = False
    # the third person has no length and is left out
    result = pck(predicted, truth, labelled, np.array([50, 50, np.nan]), 0.2)
    assert result.per_joint == (1.0, 0.0, 1.0)
    assert result.mean == 3 / 4  # 4 keypoints counted, one of them missed
    assert result.labelled == 4


def test_pckh_by_hand() -> None:
    # head box 30 x 40: segment 0.6 * 50 = 30 pixels, of which half is allowed
    lengths = head_lengths(np.array([[0.0, 0.0, 30.0, 40.0]] * 2))
    truth = np.zeros((2, 2, 2))
    predicted = np.zeros((2, 2, 2))
    predicted[:, 0, 0] = (14.9, 15.1)
    result = pck(predicted, truth, np.ones((2, 2), bool), lengths, 0.5)
    assert result.per_joint == (0.5, 1.0)
    assert result.mean == 0.75


def test_joints_that_nobody_labelled_are_nan() -> None:
    labelled = np.array([[True, False]])
    result = pck(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), labelled, np.array([1.0]), 0.2)
    assert result.per_joint[0] == 1
    assert isnan(result.per_joint[1])
    nobody = pck(np.zeros((0, 2, 2)), np.zeros((0, 2, 2)), np.zeros((0, 2), bool), np.zeros(0), 0.2)
    assert isnan(nobody.mean)

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from danet.keypoints import MPII_KEYPOINTS
from danet_evaluation.pck import GROUPS, box_lengths, pck, torso_diameters

JOINTS = ("left_knee", "right_knee", "nose")


def test_torso_diameter_is_left_shoulder_to_right_hip() -> None:
    truth = np.zeros((2, 17, 2), np.float32)
    truth[:, 5], truth[:, 12] = (10, 10), (40, 50)
    labelled = np.ones((2, 17), bool)
    labelled[1, 12] = False
    lengths = torso_diameters(truth, labelled)
    assert lengths[0] == 50
    assert isnan(lengths[1])


def test_box_lengths() -> None:
    assert box_lengths(np.array([[10, 10, 40, 50]], np.float32)).tolist() == [40]


def test_pck_by_hand() -> None:
    truth = np.zeros((3, 3, 2))
    predicted = np.zeros((3, 3, 2))
    predicted[0, 0] = (6, 8)  # exactly 0.2 of 50: found
    predicted[0, 1] = (6, 8.1)  # beyond
    predicted[1, 2] = (100, 0)  # beyond, but unlabelled
    labelled = np.ones((3, 3), bool)
    labelled[1, 1:] = False
    # the third person has no length and is left out
    result = pck(predicted, truth, labelled, np.array([50, 50, np.nan]), 0.2, JOINTS)
    assert result.per_joint == (1.0, 0.0, 1.0)
    assert result.mean == 3 / 4  # 4 keypoints counted, one of them missed
    assert result.labelled == 4


def test_groups_are_means_of_their_joints() -> None:
    # left knee: 1 of 2 found, right knee: 1 of 1; the group's 0.75 weighs joints, the mean's 2 / 3 keypoints
    predicted = np.zeros((2, 3, 2))
    predicted[1, 0] = (100, 0)
    labelled = np.array([[True, True, False], [True, False, False]])
    result = pck(predicted, np.zeros((2, 3, 2)), labelled, np.full(2, 10.0), 0.2, JOINTS)
    assert [(share.group, share.value) for share in result.groups] == [("Knee", 0.75)]
    assert result.mean == pytest.approx(2 / 3)
    content = result.to_dict()
    assert content["groups"] == {"Knee": 0.75}
    assert content["per_joint"]["left_knee"] == 0.5


def test_a_group_of_which_one_joint_is_labelled_is_that_joint() -> None:
    labelled = np.array([[True, False, False]])
    result = pck(np.zeros((1, 3, 2)), np.zeros((1, 3, 2)), labelled, np.array([1.0]), 0.2, JOINTS)
    assert [share.value for share in result.groups] == [1.0]
    nobody = pck(np.zeros((1, 3, 2)), np.zeros((1, 3, 2)), labelled & False, np.array([1.0]), 0.2, JOINTS)
    assert isnan(nobody.groups[0].value)


def test_groups_name_keypoints_of_mpii() -> None:
    assert {joint for joints in GROUPS.values() for joint in joints} <= set(MPII_KEYPOINTS)


def test_joints_that_nobody_labelled_are_nan() -> None:
    labelled = np.array([[True, False]])
    result = pck(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), labelled, np.array([1.0]), 0.2, JOINTS[:2])
    assert result.per_joint[0] == 1
    assert isnan(result.per_joint[1])
    nobody = pck(np.zeros((0, 2, 2)), np.zeros((0, 2, 2)), np.zeros((0, 2), bool), np.zeros(0), 0.2, JOINTS[:2])
    assert isnan(nobody.mean)

from __future__ import annotations

import json
import sys
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from danet.errors import InputError, MissingExtraError
from danet.keypoints import COCO_FLIP_PAIRS, COCO_KEYPOINTS, COCO_SKELETON, left_right_pairs
from danet.poses import Poses


def some(count: int) -> Poses:
    random = np.random.default_rng(count)
    corners = random.uniform(0, 400, (count, 2))
    return Poses(
        keypoints=random.uniform(-50, 700, (count, 17, 2)).astype(np.float32),
        scores=random.uniform(0, 1, (count, 17)).astype(np.float32),
        boxes=np.concatenate((corners, corners + random.uniform(10, 200, (count, 2))), axis=1).astype(np.float32),
    )


def same(poses: Poses, other: Poses, persons: list[int]) -> None:
    np.testing.assert_array_equal(poses.keypoints, other.keypoints[persons])
    np.testing.assert_array_equal(poses.scores, other.scores[persons])
    np.testing.assert_array_equal(poses.boxes, other.boxes[persons])
    assert poses.names is other.names
    assert poses.skeleton is other.skeleton


# as a sequence


@pytest.mark.parametrize("count", [0, 1, 5])
def test_length_and_iteration(count: int) -> None:
    poses = some(count)
    assert len(poses) == count
    for index, one in enumerate(poses):
        assert len(one) == 1
        same(one, poses, [index])
    assert len(list(poses)) == count


@pytest.mark.parametrize(
    ("index", "persons"),
    [
        (0, [0]),
        (4, [4]),
        (-1, [4]),
        (-5, [0]),
        (np.int64(2), [2]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -2), [4, 2, 0]),
        (slice(7, 9), []),
        ([3, 0, 3], [3, 0, 3]),
        ([], []),
        (np.array([1, -1]), [1, 4]),
        (np.array([], np.intp), []),
        (np.array([True, False, False, True, False]), [0, 3]),
        (np.zeros(5, bool), []),
        ([False, True, False, False, False], [1]),
    ],
)
def test_indexing(index: Any, persons: list[int]) -> None:
    poses = some(5)
    same(poses[index], poses, persons)


@pytest.mark.parametrize("index", [5, -6, [0, 5], np.array([-6]), np.ones(4, bool), np.ones(6, bool), 1.0, "nose"])
def test_no_such_person(index: Any) -> None:
    with pytest.raises(IndexError):
        some(5)[index]


def test_no_person_in_empty_poses() -> None:
    with pytest.raises(IndexError):
        some(0)[0]
    assert len(some(0)[:]) == len(some(0)[[]]) == len(some(0)[np.ones(0, bool)]) == 0


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        some(1).scores = np.zeros((1, 17), np.float32)  # type: ignore[misc]


# scores


def test_a_persons_score_is_the_mean_over_all_keypoints() -> None:
    scores = np.zeros((2, 17), np.float32)
    scores[0, :4] = 0.85
    scores[1] = 0.5
    poses = Poses(np.zeros((2, 17, 2), np.float32), scores, np.ones((2, 4), np.float32))
    np.testing.assert_allclose(poses.person_scores, (0.2, 0.5), rtol=1e-6)


def test_scores_of_nobody() -> None:
    assert some(0).person_scores.shape == (0,)


# COCO results: https://cocodataset.org/#format-results


def test_coco_results() -> None:
    poses = some(3)
    results = poses.to_coco(139)
    assert json.loads(json.dumps(results)) == results
    for index, result in enumerate(results):
        assert set(result) == {"image_id", "category_id", "keypoints", "score"}
        assert (result["image_id"], result["category_id"]) == (139, 1)
        assert len(result["keypoints"]) == 51
        np.testing.assert_allclose(result["keypoints"][0::3], poses.keypoints[index, :, 0])
        np.testing.assert_allclose(result["keypoints"][1::3], poses.keypoints[index, :, 1])
        np.testing.assert_allclose(result["keypoints"][2::3], poses.scores[index])
        assert result["score"] == pytest.approx(poses.scores[index].mean())


@pytest.mark.parametrize("kind", [list, np.array, tuple])
def test_the_score_is_weighted_by_the_boxs(kind: Any) -> None:
    poses = some(3)
    results = poses.to_coco(1, kind([0.9, 0.5, 0.0]))
    expected = poses.scores.mean(1) * [0.9, 0.5, 0.0]
    np.testing.assert_allclose([one["score"] for one in results], expected, rtol=1e-6)


@pytest.mark.parametrize("weights", [[0.9], [0.9] * 4, 0.9, [[0.9]] * 3, []])
def test_box_scores_of_another_length(weights: Any) -> None:
    with pytest.raises(InputError, match=r"box_scores of shape .*expected \(3,\)"):
        some(3).to_coco(1, weights)


def test_coco_results_of_nobody() -> None:
    assert some(0).to_coco(1) == some(0).to_coco(1, []) == []


# plain values


def test_to_dict_names_every_keypoint() -> None:
    poses = some(2)
    content = poses.to_dict()
    assert list(content) == ["persons"]
    for index, person in enumerate(content["persons"]):
        assert tuple(person["keypoints"]) == COCO_KEYPOINTS
        triples = np.array(list(person["keypoints"].values()))
        np.testing.assert_allclose(triples[:, :2], poses.keypoints[index], atol=0.0051)
        np.testing.assert_allclose(triples[:, 2], poses.scores[index], atol=0.000051)
        np.testing.assert_allclose(person["box"], poses.boxes[index], atol=0.0051)
        assert person["score"] == pytest.approx(poses.scores[index].mean(), abs=0.000051)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_json_is_strict_and_the_same(count: int) -> None:
    poses = some(count)
    assert json.loads(poses.to_json(), parse_constant=pytest.fail) == poses.to_dict()
    assert len(poses.to_dict()["persons"]) == count


def test_numbers_stay_short() -> None:
    # float32 1/3 as a double has seventeen digits; a file of a video should not
    poses = Poses(np.full((1, 17, 2), 1 / 3, np.float32), np.full((1, 17), 1 / 3, np.float32), np.ones((1, 4)))
    assert poses.to_dict()["persons"][0]["keypoints"]["nose"] == [0.33, 0.33, 0.3333]


def test_supervision_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)  # as Python records a failed import
    with pytest.raises(MissingExtraError, match=r"pip install 'danet-edge\[supervision\]'"):
        some(1).to_supervision()


@pytest.mark.parametrize("count", [0, 3])
def test_supervision_draws_the_poses(count: int) -> None:
    supervision = pytest.importorskip("supervision", reason="needs the extra `supervision`")
    poses = replace(some(count), ids=np.arange(1, count + 1))
    points = poses.to_supervision()
    np.testing.assert_array_equal(points.xy, poses.keypoints)
    np.testing.assert_array_equal(points.keypoint_confidence, poses.scores)
    np.testing.assert_array_equal(points.data["tracker_id"], poses.ids)
    frame = np.zeros((500, 700, 3), np.uint8)
    drawn = supervision.EdgeAnnotator(edges=[(a + 1, b + 1) for a, b in poses.skeleton]).annotate(frame.copy(), points)
    drawn = supervision.VertexAnnotator().annotate(drawn, points)
    assert drawn.any() == bool(count)


def test_ids_go_along() -> None:
    poses = replace(some(4), ids=np.array([7, 3, 9, 4]))
    assert poses[[2, 0]].ids is not None
    np.testing.assert_array_equal(poses[[2, 0]].ids, [9, 7])  # type: ignore[arg-type]
    assert [person["id"] for person in poses.to_dict()["persons"]] == [7, 3, 9, 4]
    assert "id" not in some(1).to_dict()["persons"][0]
    assert next(iter(poses)).ids == [7]


def test_drawing_nobody_copies_the_frame() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    drawn = some(0).draw(frame, boxes=True)
    np.testing.assert_array_equal(drawn, frame)
    assert not np.shares_memory(drawn, frame)


# the layout of COCO: https://cocodataset.org/#keypoints-2020


def test_flip_pairs() -> None:
    assert COCO_FLIP_PAIRS == ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))
    assert left_right_pairs(("right_a", "mid", "left_b", "left_a", "right_b")) == ((2, 4), (3, 0))


def test_the_skeleton_mirrors_onto_itself() -> None:
    swap = dict(COCO_FLIP_PAIRS) | {right: left for left, right in COCO_FLIP_PAIRS}
    limbs = {frozenset(limb) for limb in COCO_SKELETON}
    assert limbs == {frozenset(swap.get(index, index) for index in limb) for limb in limbs}
    assert len(limbs) == len(COCO_SKELETON) == 19

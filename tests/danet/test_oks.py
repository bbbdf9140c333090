from __future__ import annotations

from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danet.oks import COCO_SIGMAS, oks, oks_nms, paired_oks

HALF = np.full(17, 0.5)  # (2 sigma)^2 = 1: OKS is exp(-d^2 / (2 area))


def _moved(distance: float) -> np.ndarray:
    points = np.zeros((17, 2))
    points[:, 0] = distance
    return points


@pytest.mark.needs("pycocotools")
def test_sigmas_are_pycocotools_own() -> None:
    from pycocotools.cocoeval import Params

    assert np.array_equal(Params(iouType="keypoints").kpt_oks_sigmas, COCO_SIGMAS)


def test_oks_worked_by_hand() -> None:
    truth = np.zeros((1, 17, 2))
    found = np.zeros((2, 17, 2))
    found[1, 0] = (3, 4)  # the nose is 5 pixels off: 25 / (2 * 5000 * 0.052^2) = 0.92456
    values = oks(truth, found, np.array([[5000.0]]))
    assert values.shape == (1, 2)
    assert values[0].tolist() == pytest.approx([1.0, (16 + exp(-25 / 27.04)) / 17], abs=1e-12)
    assert values[0, 1] == pytest.approx((16 + 0.396707) / 17, abs=1e-6)


def test_only_labelled_keypoints_count() -> None:
    found = np.zeros((1, 17, 2))
    found[0, 0] = (3, 4)
    labelled = np.zeros((2, 17), bool)
    labelled[0, [0, 16]] = True
    values = oks(np.zeros((2, 17, 2)), found, np.array([[5000.0], [5000.0]]), labelled)
    assert values[:, 0].tolist() == pytest.approx([(1 + exp(-25 / 27.04)) / 2, 0.0], abs=1e-12)


@pytest.mark.needs("pycocotools")
def test_oks_is_pycocotools_own() -> None:
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(3)
    truth, found = rng.uniform(0, 100, (2, 17, 2)), rng.uniform(0, 100, (3, 17, 2))
    found[1:] = truth + rng.normal(0, 4, (2, 17, 2))
    labelled = rng.random((2, 17)) > 0.3
    areas = np.array([4000.0, 6000.0])
    truths = [
        {
            "id": i + 1,
            "bbox": [0, 0, 1, 1],
            "area": areas[i],
            "keypoints": np.column_stack((truth[i], labelled[i])).ravel(),
        }
        for i in range(2)
    ]
    evaluation = COCOeval(iouType="keypoints")
    evaluation._gts[1, 1] = truths
    evaluation._dts[1, 1] = [{"score": 1.0, "keypoints": np.column_stack((f, np.ones(17))).ravel()} for f in found]
    assert np.allclose(oks(truth, found, areas[:, None], labelled), evaluation.computeOks(1, 1).T, rtol=0, atol=1e-12)


def test_nms_threshold_by_hand() -> None:
    # areas 20 and 80 give 50: 3.2^2 / 100 -> OKS 0.9027, 3.3^2 / 100 -> 0.8968
    areas = np.array([20.0, 80.0])
    scores = np.array([0.5, 0.6])
    assert oks_nms(np.stack((_moved(0), _moved(3.2))), scores, areas, 0.9, HALF).tolist() == [1]
    assert oks_nms(np.stack((_moved(0), _moved(3.3))), scores, areas, 0.9, HALF).tolist() == [1, 0]


def test_nms_is_greedy_from_the_highest_score() -> None:
    # neighbours 3 apart (OKS 0.914), ends 6 apart (0.698): the middle one takes both ends or is taken by one
    persons = np.stack((_moved(0), _moved(3), _moved(6)))
    areas = np.full(3, 50.0)
    assert oks_nms(persons, np.array([0.9, 0.8, 0.7]), areas, 0.9, HALF).tolist() == [0, 2]
    assert oks_nms(persons, np.array([0.7, 0.9, 0.8]), areas, 0.9, HALF).tolist() == [1]
    assert oks_nms(persons, np.array([0.7, 0.7, 0.7]), areas, 0.9, HALF).tolist() == [0, 2]


def test_nms_of_nobody() -> None:
    assert oks_nms(np.empty((0, 17, 2)), np.empty(0), np.empty(0)).tolist() == []


def test_paired_oks_is_the_diagonal_of_oks() -> None:
    rng = np.random.default_rng(4)
    truth = rng.uniform(0, 100, (5, 17, 2))
    found = truth + rng.normal(0, 4, truth.shape)
    labelled = rng.random((5, 17)) > 0.3
    labelled[2] = False
    areas = rng.uniform(500, 9000, 5)
    expected = oks(truth, found, areas[:, None], labelled).diagonal()
    assert np.array_equal(paired_oks(truth, found, areas, labelled), expected)
    assert expected[2] == 0


def _similar(first: list[tuple[float, float]], second: list[tuple[float, float]], area: float) -> float:
    """OKS of two persons with all keypoints, as COCO's page writes it, in plain numbers."""
    parts = []
    for (x, y), (u, v), sigma in zip(first, second, COCO_SIGMAS.tolist(), strict=True):
        squared = (x - u) ** 2 + (y - v) ** 2
        parts.append(exp(-squared / (2 * area * (2 * sigma) ** 2)))
    return sum(parts) / len(parts)


@st.composite
def _crowds(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Persons in clusters, so that some suppress others; scores that tie now and then."""
    count = draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centers = rng.uniform(0, 200, (3, 17, 2))
    persons = centers[rng.integers(0, 3, count)] + rng.normal(0, draw(st.sampled_from([0.5, 2, 5])), (count, 17, 2))
    return persons, rng.integers(0, 6, count) / 5, rng.uniform(200, 20_000, count)


@settings(max_examples=60, deadline=None)
@given(_crowds(), st.sampled_from([0.5, 0.9]))
def test_nms_equals_brute_force(crowd: tuple[np.ndarray, np.ndarray, np.ndarray], threshold: float) -> None:
    persons, scores, areas = crowd
    order = sorted(range(len(persons)), key=lambda index: (-scores[index], index))
    kept: list[int] = []
    for one in order:
        rivals = [_similar(persons[one].tolist(), persons[k].tolist(), (areas[one] + areas[k]) / 2) for k in kept]
        if all(similar <= threshold for similar in rivals):
            kept.append(one)
    assert oks_nms(persons, scores, areas, threshold).tolist() == kept

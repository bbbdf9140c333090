from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from danet.detectors.base import CallableDetector, Detections, as_detector, checked
from danet.errors import DetectorError, InputError

SIZE = (48, 64)
BOX = [1.0, 2.0, 30.0, 40.0]


@pytest.mark.parametrize(
    "found",
    [
        [BOX],
        np.array([BOX], np.float32),
        ([BOX], [0.5]),
        (np.array([BOX]), np.array([0.5])),
        Detections(np.array([BOX], np.float32), np.array([0.5], np.float32)),
    ],
)
def test_boxes_with_and_without_scores(found: Any) -> None:
    boxes, scores = checked(found, SIZE)
    np.testing.assert_array_equal(boxes, [BOX])
    assert scores.tolist() in ([1.0], [0.5])
    assert (boxes.dtype, scores.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_tuple_of_boxes_is_no_pair(count: int) -> None:
    boxes = tuple((*BOX[:3], 40.0 + number) for number in range(count))
    found = checked(boxes, SIZE)
    np.testing.assert_array_equal(found.boxes, boxes)
    assert found.scores.tolist() == [1.0] * count


@pytest.mark.parametrize("found", [None, [], np.zeros((0, 4)), ([], []), (None, []), (np.zeros((0, 4)), np.zeros(0))])
def test_nobody(found: Any) -> None:
    boxes, scores = checked(found, SIZE)
    assert (boxes.shape, scores.shape) == ((0, 4), (0,))


def test_boxes_that_are_none_are_left_out() -> None:
    nan = float("nan")
    boxes = [BOX, [5, 5, 5, 9], [nan, 0, 9, 9], [9, 9, 2, 20], [0, 0, np.inf, 9], [2, 2, 8, 8], BOX]
    found = checked((boxes, [0.9, 0.8, 0.7, 0.6, 0.5, nan, 0.3]), SIZE)
    np.testing.assert_array_equal(found.boxes, [BOX, BOX])
    np.testing.assert_allclose(found.scores, [0.9, 0.3])


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (([BOX, BOX], [0.5]), "2 boxes and scores of shape"),
        ([[*BOX, 0.9, 1.0]], "shape"),
        ((5, [0.5]), "cannot be used"),
        ((iter([]), [0.9]), "cannot be used"),
        (([BOX, BOX[:3]], [0.9, 0.8]), "cannot be used"),
        ((BOX, [0.9]), r"boxes of shape \(4,\)|4 boxes and scores of shape \(1,\)"),
        ((np.zeros((1, 2, 4)), [0.9]), r"boxes of shape \(1, 2, 4\)"),
        (BOX, "shape"),
        ("boxes", "cannot be used"),
        ([[0, 0, 5e6, 5]], "within 1000000"),
        ({"boxes": [BOX]}, "cannot be used"),
        (([BOX], [90]), "a score of 90, expected scores in 0..1; divide percent by 100"),
        (([BOX], [-0.1]), r"a score of -0\.1, .*a sigmoid of margins"),
        ([[0, 0, 10**400, 5]], "cannot be used"),
        ([[True, False, True, True]], "cannot be used: .*bool"),
        ([["0", "0", "9", "9"]], "cannot be used: .*<U1"),
        (np.array([["0", "0", 9, 9]], object), "cannot be used: .*str"),
    ],
)
def test_what_is_no_boxes(found: Any, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        checked(found, SIZE)


def test_scores_that_are_off_by_a_rounding_are_in_range() -> None:
    assert checked(([BOX, BOX], [-1e-9, 1.01]), SIZE).scores.tolist() == [0, 1]


def test_a_callable_is_a_detector() -> None:
    frame = np.zeros((*SIZE, 3), np.uint8)
    np.testing.assert_array_equal(as_detector(lambda picture: [BOX]).detect(frame).boxes, [BOX])
    with pytest.raises(DetectorError, match="raised ZeroDivisionError"):
        CallableDetector(lambda picture: 1 / 0).detect(frame)
    with pytest.raises(InputError, match="expected an object with detect"):
        as_detector("hog")  # type: ignore[arg-type]

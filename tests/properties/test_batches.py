"""A person's keypoints do not depend on who else is in the frame, the batch or the stream, nor on their order.

OpenVINO compiles each batch size on its own, and its kernels may add in another order: of float32 responses up to 1,
`ROUNDING` was the most that any batch size differed from any other on the CPU measured (AVX-512 and AVX2 kernels;
TFLite did not differ at all). DARK's step is at most some 60 times as large in cells (test_stability.py), hence
`SAME`; the estimator's float32 answer has a rounding of its own, 6e-5 pixels beyond pixel 512.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.crop import crop_affines, crop_persons
from danet.estimator import PoseEstimator
from danet.poses import Poses

from .conftest import Street

ROUNDING = 2e-6
SAME = 2e-3
"""Frame pixels, of boxes up to 400 pixels: some 8 of them to a cell."""

shared = settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
orders = st.permutations(range(6))


@pytest.fixture(scope="session")
def alone(any_backend: PoseEstimator, street: Street) -> list[Poses]:
    """Each person of the street in a call of its own."""
    return [any_backend.infer(street.frame, street.boxes[index : index + 1]) for index in range(6)]


def assert_same(found: Poses, index: int, expected: Poses) -> None:
    np.testing.assert_allclose(found.keypoints[index], expected.keypoints[0], rtol=0, atol=SAME)
    np.testing.assert_allclose(found.scores[index], expected.scores[0], rtol=0, atol=ROUNDING)


@pytest.fixture(scope="session")
def crops(any_backend: PoseEstimator, street: Street) -> NDArray[np.uint8]:
    return crop_persons(street.frame, crop_affines(street.boxes, any_backend.spec), any_backend.spec)


@pytest.fixture(scope="session")
def single(any_backend: PoseEstimator, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The heatmaps of each crop in a call of its own."""
    return np.concatenate([any_backend.heatmaps(crop[None]) for crop in crops])


# a batch of two is among those of `test_any_company_in_any_order`
@pytest.mark.parametrize("persons", [6, 9, pytest.param(2, marks=pytest.mark.long)])
def test_heatmaps_in_any_batch(
    any_backend: PoseEstimator, crops: NDArray[np.uint8], single: NDArray[np.float32], persons: int
) -> None:
    """Two are a batch, six are split into four and two, nine are one batch padded to ten."""
    chosen = np.arange(persons) % 6
    together = any_backend.heatmaps(crops[chosen])
    np.testing.assert_allclose(together, single[chosen], rtol=0, atol=ROUNDING * max(1, float(np.abs(single).max())))


@given(order=orders, persons=st.integers(1, 6))
@shared
def test_any_company_in_any_order(
    any_backend: PoseEstimator, street: Street, alone: list[Poses], order: list[int], persons: int
) -> None:
    poses = any_backend.infer(street.frame, street.boxes[order[:persons]])
    for place, index in enumerate(order[:persons]):
        assert_same(poses, place, alone[index])


@given(order=orders, cuts=st.sets(st.integers(1, 5)), streamed=st.booleans())
@shared
def test_any_split_into_frames(
    any_backend: PoseEstimator, street: Street, alone: list[Poses], order: list[int], cuts: set[int], streamed: bool
) -> None:
    parts = [order[start:end] for start, end in pairwise([0, *sorted(cuts), 6])]
    frames = [(street.frame, street.boxes[part]) for part in parts]
    answers = list(any_backend.stream(frames)) if streamed else any_backend.infer_batch(frames)
    assert [len(poses) for poses in answers] == [len(part) for part in parts]
    for part, poses in zip(parts, answers, strict=True):
        for place, index in enumerate(part):
            assert_same(poses, place, alone[index])


@pytest.mark.parametrize("neighbour", ["black", "white", "noise"])
def test_any_neighbour(any_backend: PoseEstimator, street: Street, alone: list[Poses], neighbour: str) -> None:
    frames: dict[str, Callable[[], NDArray[np.uint8]]] = {
        "black": lambda: np.zeros((300, 200, 3), np.uint8),
        "white": lambda: np.full((300, 200, 3), 255, np.uint8),
        "noise": lambda: np.random.default_rng(1).integers(0, 256, (300, 200, 3), np.uint8),
    }
    (poses, _) = any_backend.infer_batch([(street.frame, street.boxes[:1]), (frames[neighbour](), None)])
    assert_same(poses, 0, alone[0])

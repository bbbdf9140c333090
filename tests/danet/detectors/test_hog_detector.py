from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.detectors.base import Detector
from danet.detectors.hog_detector import HogDetector, far_view, margin_of, near_view, persons_in, scores_of
from danet.errors import DetectorError, InputError
from danet.scenes.scene import render_scene

from .conftest import iou, matched

SIDES = st.integers(1, 300)
CLEAR_WALKERS = {
    0: [[402, 151, 427, 202], [158, 137, 177, 193], [314, 98, 331, 145]],
    250: [[372, 158, 400, 221], [235, 141, 264, 204], [341, 117, 361, 165], [120, 94, 140, 140], [23, 107, 40, 152]],
    600: [[354, 123, 374, 177], [400, 190, 421, 257], [418, 131, 441, 187], [116, 92, 131, 134]],
}
"""Upright and apart from each other, in walking.avi, read off pictures by eye."""


@pytest.mark.parametrize("index", CLEAR_WALKERS)
def test_walkers_are_found(walking: dict[int, NDArray[np.uint8]], index: int) -> None:
    found = HogDetector(smallest=0.1).detect(walking[index])
    persons = np.array(CLEAR_WALKERS[index], float)
    overlaps = matched(found.boxes, persons)
    assert len(overlaps) == len(persons)
    assert np.mean(overlaps) > 0.7  # the window without its margin; the bare window reaches 0.4
    assert len(found.boxes) <= len(persons) + 2
    assert (np.diff(found.scores) <= 0).all()
    assert (found.scores >= 0.4).all()


@pytest.mark.parametrize("seed", [19, 27, 49])
def test_rendered_upright_persons(seed: int) -> None:
    scene = render_scene(seed)
    found = HogDetector().detect(scene.image)
    assert isinstance(HogDetector(), Detector)
    assert iou(found.boxes, scene.boxes).max() > 0.65
    assert (found.boxes.dtype, found.scores.dtype) == (np.float32, np.float32)


def test_a_person_who_fills_the_frame(walking: dict[int, NDArray[np.uint8]]) -> None:
    left, top, right, bottom = 372, 158, 400, 221
    tight = np.ascontiguousarray(walking[250][top - 2 : bottom + 2, left - 4 : right + 4])
    for picture in (tight, cv2.resize(tight, None, fx=9, fy=9, interpolation=cv2.INTER_CUBIC)):
        scale = len(picture) / len(tight)
        boxes = HogDetector(smallest=0.5).detect(picture).boxes
        expected = np.array([[4, 2, 4 + right - left, 2 + bottom - top]]) * scale
        assert iou(boxes, expected).max() > 0.6


def test_working_size_follows_smallest_not_the_resolution() -> None:
    for height, width in ((480, 640), (1080, 1440), (2160, 2880)):
        view = far_view(np.zeros((height, width, 3), np.uint8), 0.2)
        assert view.picture.shape == (480, 640, 3)  # 0.2 of 480 is 96
    assert far_view(np.zeros((100, 100, 3), np.uint8), 0.02).picture.shape == (400, 400, 3)  # at most 4 times


@given(SIDES, SIDES, st.floats(0.02, 1), st.lists(st.floats(-50, 350), min_size=4, max_size=4))
def test_views_map_boxes_back(height: int, width: int, smallest: float, box: list[float]) -> None:
    frame = np.zeros((height, width, 3), np.uint8)
    for view in (far_view(frame, smallest), near_view(frame)):
        assert view.picture.shape[0] >= 128
        assert view.picture.shape[1] >= 64
        inside = np.array([box]) * view.scale[[0, 1, 0, 1]] + view.border
        np.testing.assert_allclose(view.to_frame(inside), [box], atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (130, 70), (127, 63)])
def test_odd_frames(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    found = HogDetector().detect(noise)
    assert found.boxes.shape == (len(found.scores), 4)


def test_nobody_and_other_frames() -> None:
    found = HogDetector().detect(np.full((240, 320), 90, np.uint8))
    assert (found.boxes.shape, found.scores.shape) == ((0, 4), (0,))
    with pytest.raises(InputError, match="None"):
        HogDetector().detect(None)


def test_person_in_a_window() -> None:
    # of a window 100 x 200 at (10, 20)
    boxes = persons_in(np.array([[10.0, 20.0, 100.0, 200.0]]))
    np.testing.assert_allclose(boxes, [[31, 43, 89, 190]])


@given(st.floats(0.005, 0.995))
def test_margins_and_scores(score: float) -> None:
    assert scores_of(np.array([margin_of(score)]))[0] == pytest.approx(score)


def test_scores_are_probabilities() -> None:
    scores = scores_of(np.array([-1.0, 0.9, 3.0]))
    assert scores[1] == pytest.approx(0.5)
    assert scores[0] < 0.01
    assert scores[2] > 0.99
    assert np.isfinite([margin_of(0.0), margin_of(1.0)]).all()


def test_threads_agree(walking: dict[int, NDArray[np.uint8]]) -> None:
    frames = [walking[index] for index in (0, 250, 600, 780)]
    detector = HogDetector(smallest=0.15)
    expected = [detector.detect(frame) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        for want, got in zip(expected, pool.map(detector.detect, frames), strict=True):
            np.testing.assert_array_equal(got.boxes, want.boxes)


def test_a_fine_pyramid_reaches_the_near_view() -> None:
    # 64 levels, OpenCV's default, of 1.02 would end at persons 3.5 times as tall as the smallest
    for smallest, step in ((0.1, 1.02), (0.2, 1.01), (0.02, 1.05), (0.2, 1.1)):
        detector = HogDetector(smallest=smallest, pyramid_step=step)
        assert step ** (detector._hog.nlevels - 1) * smallest >= 1
    scene = render_scene(19)
    tall = scene.boxes[iou(HogDetector().detect(scene.image).boxes, scene.boxes).max(0).argmax()]
    picture = cv2.copyMakeBorder(scene.image, 300, 300, 0, 0, cv2.BORDER_REPLICATE)
    person = tall[None] + np.array((0, 300, 0, 300))
    assert 0.4 < (tall[3] - tall[1]) / len(picture) < 0.6
    assert iou(HogDetector(smallest=0.1, pyramid_step=1.02).detect(picture).boxes, person).max() > 0.5


def test_the_descriptor_is_the_default_but_for_its_levels() -> None:
    ours, default = HogDetector()._hog, cv2.HOGDescriptor()
    for name in ("winSize", "blockSize", "blockStride", "cellSize", "nbins", "derivAperture", "histogramNormType"):
        assert getattr(ours, name) == getattr(default, name), name
    assert ours.getWinSigma() == default.getWinSigma()
    for name in ("L2HysThreshold", "gammaCorrection", "nlevels", "signedGradient"):
        assert getattr(ours, name) == getattr(default, name), name


@pytest.mark.parametrize(
    "options",
    [{"smallest": 0}, {"smallest": 1.5}, {"stride": 5}, {"pyramid_step": 1}, {"score_threshold": 2}],
)
def test_arguments_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        HogDetector(**options)


@pytest.mark.parametrize("threads", [0, 4])
def test_windows_and_margins_are_opencvs(
    walking: dict[int, NDArray[np.uint8]], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of its `detectMultiScale` in one thread, in which no two levels can mix."""
    detector = HogDetector(smallest=0.15, pyramid_step=1.07)
    before = cv2.getNumThreads()
    try:
        for index in (0, 600):
            for view in (far_view(walking[index], 0.15), near_view(walking[index])):
                cv2.setNumThreads(0)
                windows, margins = detector._hog.detectMultiScale(
                    view.picture,
                    hitThreshold=margin_of(0.4),
                    winStride=(8, 8),
                    padding=(16, 16),
                    scale=1.07,
                    groupThreshold=0,
                )
                cv2.setNumThreads(threads)
                found, scored = detector._windows(view.picture)
                assert len(windows) or view.border
                np.testing.assert_array_equal(found, np.reshape(windows, (-1, 4)))
                # sums of float32: OpenCV 4.9 has another buffer for its levels, and rounds one in 60 otherwise
                np.testing.assert_allclose(scored, np.reshape(margins, -1), rtol=1e-6)
    finally:
        cv2.setNumThreads(before)


def test_an_opencv_without_the_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """As 5 is, which `pip install opencv-python-headless` brings."""
    monkeypatch.delattr(cv2, "HOGDescriptor")
    with pytest.raises(DetectorError, match=r"has no HOG people detector, expected 4\.x; install opencv-python"):
        HogDetector()

"""Mirrored, moved and resized frames give mirrored, moved and resized keypoints."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.crop import crop_affines, crop_persons, padded_size
from danet.estimator import PoseEstimator
from danet.model_spec import DecoderSpec, ModelSpec

from .conftest import SHOWN, SURE, Street
from .heatmaps import FINE_SIGMA, BrightnessBackend, lengths, spec_of, spots

SPOTS = spec_of((64, 48), 4, 1.25, DecoderSpec(offsets=(), refinement="dark"))
HALF_A_PIXEL = 0.5


def find(frame: NDArray[np.uint8], box: NDArray[np.float64], spec: ModelSpec = SPOTS) -> NDArray[np.float32]:
    """Keypoints (2, 2) of the spots in one box (4,)."""
    with PoseEstimator("spots", spec=spec, backend=BrightnessBackend(spec.stride)) as estimator:
        return estimator.infer(frame, box[None]).keypoints[0]


def mirrored_boxes(boxes: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Boxes are edges: the frame's right edge, `width`, becomes 0."""
    return np.stack((width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]), axis=1)


def mirrored_keypoints(keypoints: NDArray[np.float32], width: int, spec: ModelSpec) -> NDArray[np.float32]:
    """Keypoints are indices: the last pixel, `width` - 1, becomes 0; left and right change places."""
    swapped = keypoints[:, spec.flip_order]
    return np.stack((width - 1 - swapped[..., 0], swapped[..., 1]), axis=-1)


def mirrored_distances(
    estimator: PoseEstimator, street: Street, boxes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """How far keypoints of the mirrored frame lie from where they belong, in heatmap cells, and their scores."""
    width = street.frame.shape[1]
    poses = estimator.infer(street.frame, boxes)
    mirrored = estimator.infer(np.ascontiguousarray(street.frame[:, ::-1]), mirrored_boxes(boxes, width))
    back = mirrored_keypoints(mirrored.keypoints, width, estimator.spec)
    cells = padded_size(boxes, estimator.spec)[:, :1] / estimator.spec.heatmap_size[1]
    return np.linalg.norm(back - poses.keypoints, axis=2) / cells, poses.scores


def mirrored_error(estimator: PoseEstimator, street: Street, boxes: NDArray[np.float64]) -> float:
    """Squared difference of the mirrored frame's heatmaps, turned back, over the square of the heatmaps."""
    spec = estimator.spec
    frames = (street.frame, np.ascontiguousarray(street.frame[:, ::-1]))
    both = (boxes, mirrored_boxes(boxes, street.frame.shape[1]))
    crops = [crop_persons(frame, crop_affines(one, spec), spec) for frame, one in zip(frames, both, strict=True)]
    maps, mirrored = (estimator.heatmaps(one).astype(np.float64) for one in crops)
    back = mirrored[:, spec.flip_order, :, ::-1]
    return float(np.square(maps - back).sum() / np.square(maps).sum())


def test_flip_averaging_is_symmetric_where_the_crop_is(danet72_unpadded: PoseEstimator, street: Street) -> None:
    """Boxes of once and twice the crop's size: no rounding in the crops, so nothing but float32's order of sums."""
    distances, _ = mirrored_distances(danet72_unpadded, street, np.array([[-20.0, 20, 172, 276], [420, -60, 804, 452]]))
    pixels = distances * [[4], [8]]  # a cell of each box
    assert pixels.max() < 2e-3


@given(st.lists(st.tuples(*(st.floats(-0.1, 0.1),) * 4), min_size=2, max_size=2))
@settings(deadline=None, max_examples=3)
def test_flip_averaging_is_symmetric_in_any_box(
    danet72_unpadded: PoseEstimator, street: Street, changes: list[tuple[float, ...]]
) -> None:
    """cv2.warpAffine rounds places to 1/32 pixel, so mirrored crops differ by a level here and there. In 150 pairs of
    random boxes that moved sure keypoints by 0.03 cells at most, and heatmaps by 3e-5 of their square; a pixel
    forgotten in the geometry moves them by 0.2 cells. Of keypoints that are not sure the heatmaps alone tell: a map
    may have two tops of nearly one height far from each other, and rounding tells which is the highest."""
    boxes = street.boxes[[3, 0]]
    boxes = boxes + np.array(changes) * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    distances, scores = mirrored_distances(danet72_unpadded, street, boxes)
    assert (scores > SURE).sum() > 5
    assert distances[scores > SURE].max() < 0.1
    assert mirrored_error(danet72_unpadded, street, boxes) < 3e-4


@given(st.integers(-300, 300), st.integers(-300, 300), lengths(30, 300), st.floats(-1, 1), st.floats(-1, 1))
@settings(deadline=None, max_examples=25)
def test_moved_by_whole_pixels(right: int, down: int, side: float, x: float, y: float) -> None:
    """The frame's content and the box move together, and the keypoints with them."""
    size = (900, 900)
    sigma = FINE_SIGMA * side * 1.25 * 4 / 3 / 64
    truth = np.array([[450 + x * side / 8, 450 + y * side / 8], [450 - y * side / 8, 450 + x * side / 8]])
    box = np.array([450 - side / 2, 450 - side / 2, 450 + side / 2, 450 + side / 2])
    frame = spots(size, truth, sigma)
    assume(6 * sigma + side / 4 < 150)
    moved = np.roll(frame, (down, right), axis=(0, 1))  # black at the rim
    shift = np.array([right, down])
    there = find(moved, box + np.tile(shift, 2))
    # at most a level of the crop's 255 differs, where 1/1024 of a pixel is rounded to the other side
    np.testing.assert_allclose(there - shift, find(frame, box), atol=0.01)


@given(st.floats(0.4, 2.5), lengths(80, 260), st.floats(-1, 1), st.floats(-1, 1))
@settings(deadline=None, max_examples=25)
def test_resized_with_its_boxes(scale: float, side: float, x: float, y: float) -> None:
    """A frame of another resolution with its boxes scaled: edges scale from 0, pixel centres half a pixel in."""
    center = np.array([200.0, 180.0])
    truth = center + side / 8 * np.array([[x, y], [-y, x]])
    box = np.concatenate((center - side / 2, center + side / 2))
    sigma = FINE_SIGMA * side * 1.25 * 4 / 3 / 64
    assume(sigma * scale > 1)
    size = (round(360 * scale), round(400 * scale))
    drawn = spots(size, (truth + HALF_A_PIXEL) * scale - HALF_A_PIXEL, sigma * scale)
    there = (find(drawn, box * scale) + HALF_A_PIXEL) / scale - HALF_A_PIXEL
    np.testing.assert_allclose(there, find(spots((360, 400), truth, sigma), box), atol=0.1)


def test_a_picture_resized_by_opencv(danet72_unpadded: PoseEstimator, street: Street) -> None:
    """Twice the resolution says nothing new of the persons, so that they stay where they are. The crops' pixels are not
    the same, so sure keypoints within a tenth of a cell; on the average, which half a pixel forgotten in the geometry
    would move by 0.05 cells, all of them."""
    double = cv2.resize(street.frame, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    boxes = street.boxes[[0, 3]]
    poses, there = (danet72_unpadded.infer(frame, boxes * scale) for frame, scale in ((street.frame, 1), (double, 2)))
    back = (there.keypoints + HALF_A_PIXEL) / 2 - HALF_A_PIXEL
    cells = padded_size(boxes, danet72_unpadded.spec)[:, :1] / danet72_unpadded.spec.heatmap_size[1]
    moves = (back - poses.keypoints) / cells[..., None]
    assert (poses.scores > SHOWN).sum() > 10
    assert np.abs(moves[poses.scores > SHOWN].mean(0)).max() < 0.02
    assert np.linalg.norm(moves[poses.scores > SURE], axis=1).max() < 0.1

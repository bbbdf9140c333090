"""Crop and decoder undo each other: a Gaussian at a known place of the frame comes back to it.

What limits it, in cells of the heatmap (a cell is stride x padded width / input width frame pixels):

- Within a cell "dark" is exact but for float32 and for the tails that the blur's kernel leaves out: `EXACT`.
- The blur sees zeros outside the map, so a peak nearer to the rim than the blur reaches is drawn inward: `RIM`.
- Training's targets are cut where they fall below 0.01, here or there as the place lies between cells: `CUT`.
- "offset" knows four directions and one length: `OFFSET`.
"""

from __future__ import annotations

from math import hypot

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.crop import crop_affines, padded_size, to_crop, to_frame
from danet.decode import decode
from danet.estimator import PoseEstimator
from danet.model_spec import DecoderSpec, ModelSpec

from .heatmaps import FINE_SIGMA, WIDEST_SIGMA, BrightnessBackend, boxes, gaussian_maps, lengths, spec_of, spots

PROMISE = 0.3
"""Frame pixels."""
KERNEL = 17
MARGIN = KERNEL // 2 + 1.5
"""Cells from the outermost cells' centres at which the map's rim plays no part: DARK reads the cell beside the
highest one, half a cell and one cell from the place, and the blur draws on eight cells beyond that."""
EXACT = {1: 6e-6, 5: 6e-4, 9: 1e-4, 11: 6e-5, 17: 2.5e-5}
"""Cells, by blur kernel. 1 is float32 alone."""
CUT = 7e-3
OFFSET = hypot(0.25, 0.5)
"""The place is up to half a cell off on both axes; 0.25 is made good along the one on which it is farther."""
RIM = ((0.0, 1.3), (2.0, 0.2), (4.25, 7e-3))
"""Cells from the outermost cell's centre, and the error there, for targets of the finest scale."""

sigmas = st.floats(FINE_SIGMA, WIDEST_SIGMA)
paddings = st.floats(0.5, 2)
strides = st.sampled_from([2, 4, 8])
sides = st.integers(24, 72)
inside = st.tuples(*(st.floats(0, 1),) * 4)


def dark(kernel: int = KERNEL) -> DecoderSpec:
    return DecoderSpec(kernel, (), refinement="dark")


def places_in(parts: tuple[float, ...], spec: ModelSpec, margin: float) -> NDArray[np.float64]:
    """Crop pixel indices (1, 2, 2) of places at least `margin` cells from the outermost cells' centres."""
    last = np.array(spec.heatmap_size[::-1]) - 1
    cells = margin + np.array(parts).reshape(1, 2, 2) * (last - 2 * margin)
    return (cells + 0.5) * spec.stride - 0.5


def in_cells(points: NDArray[np.floating], spec: ModelSpec) -> NDArray[np.float64]:
    return (points.astype(np.float64) + 0.5) / spec.stride - 0.5


def cell_of(box: NDArray[np.float64], spec: ModelSpec) -> float:
    """Frame pixels to a cell."""
    return float(padded_size(box, spec)[0, 0] / spec.heatmap_size[1])


def there_and_back(box: NDArray[np.float64], places: NDArray[np.float64], spec: ModelSpec, sigma: float) -> float:
    """Distance in frame pixels between where keypoints are in the frame and where they are found.

    The places are of the crop, so that they are in it; they are taken to the frame, and from there on
    only the frame's coordinates are known.
    """
    affines = crop_affines(box, spec)
    truth = to_frame(places, affines)
    maps = gaussian_maps(in_cells(to_crop(truth, affines), spec), spec.heatmap_size, sigma)
    found = to_frame(decode(maps, spec)[0], affines)
    return float(np.hypot(*(found - truth)[0].T).max())


@given(boxes(), inside, sides, sides, strides, paddings, sigmas)
@settings(deadline=None, max_examples=200)
def test_any_box_within_the_promise(
    box: NDArray[np.float64],
    parts: tuple[float, ...],
    rows: int,
    columns: int,
    stride: int,
    padding: float,
    sigma: float,
) -> None:
    spec = spec_of((rows, columns), stride, padding, dark())
    error = there_and_back(box, places_in(parts, spec, MARGIN), spec, sigma)
    assert error <= PROMISE
    # the largest cell of these boxes spans 50,000 frame pixels or so: where the promise is near, it is this that holds
    assert error <= EXACT[KERNEL] * cell_of(box, spec) + 1e-6


@given(boxes(), inside, st.sampled_from(sorted(EXACT)), sigmas)
@settings(deadline=None, max_examples=100)
def test_every_kernel_within_its_bound(
    box: NDArray[np.float64], parts: tuple[float, ...], kernel: int, sigma: float
) -> None:
    spec = spec_of((64, 48), 4, 1.25, dark(kernel))
    error = there_and_back(box, places_in(parts, spec, kernel // 2 + 1.5), spec, sigma)
    assert error <= EXACT[kernel] * cell_of(box, spec) + 1e-6


@given(boxes(), inside, sigmas)
@settings(deadline=None, max_examples=100)
def test_the_offset_within_its_bound(box: NDArray[np.float64], parts: tuple[float, ...], sigma: float) -> None:
    spec = spec_of((64, 48), 4, 1.25, DecoderSpec())
    error = there_and_back(box, places_in(parts, spec, MARGIN), spec, sigma)
    assert error <= (OFFSET + 1e-3) * cell_of(box, spec) + 1e-6


def test_the_offset_reaches_its_bound() -> None:
    """So that it is known what "dark" is for: the promise cannot be kept by an offset."""
    spec = spec_of((64, 48), 4, 1.25, DecoderSpec())
    places = (np.array([[[20.499, 30.498], [30.25, 20.0]]]) + 0.5) * 4 - 0.5
    box = np.array([[0.0, 0, 192, 256]])
    assert there_and_back(box, places, spec, FINE_SIGMA) == pytest.approx(OFFSET * cell_of(box, spec), rel=0.01)


@pytest.mark.parametrize(("margin", "bound"), RIM)
def test_training_s_targets_by_their_distance_from_the_rim(margin: float, bound: float) -> None:
    torch = pytest.importorskip("torch", reason="targets are training's own")
    from danet_training.targets import gaussian_targets

    spec = spec_of((64, 48), 4, 1.25, dark())
    random = np.random.default_rng(8)
    places = np.concatenate([places_in(tuple(parts), spec, margin) for parts in random.random((300, 4))])
    maps = gaussian_targets(torch.from_numpy(places), spec.heatmap_size, 4, FINE_SIGMA * 4).float().numpy()
    assert np.abs(decode(maps, spec)[0] - places).max() / spec.stride <= bound


@given(inside, st.sampled_from([(5.6, 4), (6.8, 4), (8.0, 4), (10.4, 4)]), boxes(high=1_500))
@settings(deadline=None, max_examples=60)
def test_training_s_targets_within_the_promise(
    parts: tuple[float, ...], target: tuple[float, int], box: NDArray[np.float64]
) -> None:
    """A cell spans at most 1,500 x 1.25 x 4/3 / 48 = 52 frame pixels here; beyond that it is the relative bound."""
    torch = pytest.importorskip("torch", reason="targets are training's own")
    from danet_training.targets import gaussian_targets

    spec = spec_of((64, 48), 4, 1.25, dark())
    affines = crop_affines(box, spec)
    places = places_in(parts, spec, MARGIN)
    maps = gaussian_targets(torch.from_numpy(places), spec.heatmap_size, target[1], target[0]).float().numpy()
    error = np.abs(to_frame(decode(maps, spec)[0], affines) - to_frame(places, affines)).max()
    assert error <= CUT * cell_of(box, spec) + 1e-6


@given(
    st.integers(80, 700), st.integers(80, 700), lengths(40, 700), st.floats(0.4, 2), inside,
    st.floats(-0.4, 0.4), st.floats(-0.4, 0.4),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_through_pixels(
    width: int, height: int, side: float, aspect: float, parts: tuple[float, ...], right: float, down: float
) -> None:
    """Spots in a frame, through `PoseEstimator`: the box lies anywhere, so the frame cuts it or is lost in it."""
    spec = spec_of((64, 48), 4, 1.25, dark())
    x, y = width * (0.5 + right), height * (0.5 + down)
    box = np.array([[x - side / 2, y - side / aspect / 2, x + side / 2, y + side / aspect / 2]])
    affines = crop_affines(box, spec)
    sigma = FINE_SIGMA * cell_of(box, spec)
    # where frame and crop both hold the spot whole
    corners = to_frame(places_in((0, 0, 1, 1), spec, MARGIN), affines)[0]
    low = np.maximum(corners[0], 4 * sigma)
    high = np.minimum(corners[1], np.array([width, height]) - 1 - 4 * sigma)
    assume((low < high).all())
    truth = low + np.array(parts).reshape(2, 2) * (high - low)
    with PoseEstimator("spots", spec=spec, backend=BrightnessBackend(4)) as estimator:
        poses = estimator.infer(spots((height, width), truth, sigma), box)
    error = np.hypot(*(poses.keypoints[0] - truth).T).max()
    assert error <= PROMISE
    assert poses.scores.min() > 0.5

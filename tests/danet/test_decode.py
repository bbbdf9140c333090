from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import hypot

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.decode import average_flipped, blur, decode
from danet.model_spec import DecoderSpec, ModelSpec

PAPER = ModelSpec(name="paper")
ZOO = ModelSpec(name="zoo", decoder=DecoderSpec(offsets=(0.35, 0.15, 0.05), heatmap_peak=255.0))
DARK = PAPER.decoded_by("dark")
SHARP_DARK = replace(PAPER, decoder=DecoderSpec(blur_kernel=1, offsets=(), refinement="dark"))

Maps = NDArray[np.float32]


def plain(*offsets: float, **others: float) -> ModelSpec:
    """No blur, so that hand-made maps are decoded as they stand."""
    return replace(PAPER, decoder=DecoderSpec(blur_kernel=1, offsets=offsets, **others))


def dots(*values: tuple[int, int, float]) -> Maps:
    """One person, 17 equal maps, with single cells (column, row, response)."""
    maps = np.zeros((1, 17, 64, 48), np.float32)
    for column, row, response in values:
        maps[:, :, row, column] = response
    return maps


def gaussian(column: float, row: float, sigma: float, peak: float = 1.0) -> NDArray[np.float64]:
    columns, rows = np.meshgrid(np.arange(48), np.arange(64))
    return peak * np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / (2 * sigma**2))


def in_cells(points: NDArray[np.float32], stride: int = 4) -> NDArray[np.float64]:
    """Crop pixel indices to cell indices: cell i is centred on pixel (i + 0.5) * stride - 0.5."""
    return (points.astype(np.float64) + 0.5) / stride - 0.5


def decode_one(heatmap: NDArray[np.float64], decoder: DecoderSpec, stride: int) -> tuple[float, float, float, float]:
    """The zoo's test, one map at a time.

    Returns x, y, the score, and the smallest gap between the responses that decide the place.
    """
    height, width = heatmap.shape
    pad = max(10, decoder.blur_kernel)
    canvas = np.zeros((height + 2 * pad, width + 2 * pad))
    canvas[pad:-pad, pad:-pad] = heatmap
    blurred = cv2.GaussianBlur(canvas, (decoder.blur_kernel, decoder.blur_kernel), 0)[pad:-pad, pad:-pad]
    order = sorted(((blurred[r, c], c, r) for r in range(height) for c in range(width)), reverse=True)
    _, column, row = order[0]
    x, y = float(column), float(row)
    for offset, (_, next_column, next_row) in zip(decoder.offsets, order[1:], strict=False):
        length = hypot(next_column - x, next_row - y)
        if length > 1e-3:
            x, y = x + offset * (next_column - x) / length, y + offset * (next_row - y) / length
    deciding = [response for response, _, _ in order[: len(decoder.offsets) + 2]]
    gap = min(a - b for a, b in pairwise(deciding))
    score = min(max(heatmap[row, column] / decoder.heatmap_peak, 0), 1)
    return (x + 0.5) * stride - 0.5, (y + 0.5) * stride - 0.5, score, gap / max(abs(deciding[0]), 1e-12)


# equality with the plain loop


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(256, 192, 4), (64, 48, 4), (96, 128, 8), (32, 32, 2)]),
    st.sampled_from([1, 3, 9, 17, 31]),
    st.sampled_from([(), (0.25,), (0.35, 0.15, 0.05)]),
    st.sampled_from([1.0, 255.0]),
    st.floats(0, 0.5),
)
@settings(deadline=None, max_examples=40)
def test_equals_the_plain_loop(
    seed: int, size: tuple[int, int, int], kernel: int, offsets: tuple[float, ...], peak: float, noise: float
) -> None:
    height, width, stride = size
    spec = ModelSpec(
        name="loop",
        input_size=(height, width),
        stride=stride,
        keypoints=("left_a", "right_a", "b"),
        flip_pairs=((0, 1),),
        skeleton=(),
        decoder=DecoderSpec(blur_kernel=kernel, offsets=offsets, heatmap_peak=peak),
    )
    random = np.random.default_rng(seed)
    rows, columns = np.meshgrid(*(np.arange(side) for side in spec.heatmap_size), indexing="ij")
    maps = np.empty((2, 3, *spec.heatmap_size), np.float32)
    for person in range(2):
        for joint in range(3):
            y, x = random.uniform(-1, 1, 2) + [random.integers(side) for side in spec.heatmap_size]
            response = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * random.uniform(0.7, 3) ** 2))
            maps[person, joint] = peak * (response + noise * random.normal(size=response.shape))
    points, scores = decode(maps, spec)
    for person in range(2):
        for joint in range(3):
            x, y, score, gap = decode_one(maps[person, joint].astype(np.float64), spec.decoder, stride)
            if gap > 1e-5:  # nearer responses change places by the rounding of float32
                np.testing.assert_allclose(points[person, joint], (x, y), atol=1e-4)
                np.testing.assert_allclose(scores[person, joint], score, atol=1e-6)


@pytest.mark.parametrize("kernel", [3, 17, 63])
def test_blur_is_opencvs_with_zeros_outside(kernel: int) -> None:
    maps = np.random.default_rng(1).normal(size=(2, 3, 24, 18)).astype(np.float32)
    pad = max(10, kernel)
    for one, blurred in zip(maps.reshape(-1, 24, 18), blur(maps, kernel).reshape(-1, 24, 18), strict=True):
        canvas = np.pad(one, pad)
        expected = cv2.GaussianBlur(canvas, (kernel, kernel), 0)[pad:-pad, pad:-pad]
        np.testing.assert_allclose(blurred, expected, atol=1e-6)


# where a Gaussian comes back


@given(st.integers(12, 35), st.integers(12, 51), st.floats(-0.49, 0.49), st.floats(-0.49, 0.49), st.floats(1.0, 2.6))
@settings(deadline=None, max_examples=60)
def test_a_gaussian_between_cells(column: int, row: int, right: float, down: float, sigma: float) -> None:
    """The bound that the paper's decoder keeps.

    Away from the map's rim the blur keeps the order of distances, so the highest cell is the nearest
    one, and the second highest is its neighbour along the axis on which the centre is farther off.
    The location is moved 0.25 along that axis, where the centre is 0 to 0.5 away: at most 0.25 is
    left. The other coordinate stays at its cell and is as far off as the centre is from it.
    """
    assume(abs(abs(right) - abs(down)) > 0.02)
    assume(max(abs(right), abs(down)) > 0.02)
    maps = np.broadcast_to(gaussian(column + right, row + down, sigma), (1, 17, 64, 48)).astype(np.float32)
    points, _ = decode(maps, PAPER)
    errors = in_cells(points)[0] - (column + right, row + down)
    major, minor = (0, 1) if abs(right) > abs(down) else (1, 0)
    expected = (right, down)
    np.testing.assert_allclose(errors[:, major], np.sign(expected[major]) * 0.25 - expected[major], atol=1e-5)
    np.testing.assert_allclose(errors[:, minor], -expected[minor], atol=1e-5)
    assert np.abs(errors[:, major]).max() <= 0.25 + 1e-5


def test_an_offset_halves_the_mean_error_along_a_line() -> None:
    """Without it the error is uniform in 0..0.5, mean 0.25; with it |0.25 - d|, mean 0.125."""
    means = []
    for offsets in ((), (0.25,)):
        spec = replace(PAPER, decoder=DecoderSpec(offsets=offsets))
        places = 20 + np.linspace(0.01, 0.49, 25)
        maps = np.stack([gaussian(place, 30, 2) for place in places]).astype(np.float32)
        points, _ = decode(np.repeat(maps[:, None], 17, axis=1), spec)
        means.append(np.abs(in_cells(points)[:, 0, 0] - places).mean())
    np.testing.assert_allclose(means, (0.25, 0.125), atol=0.01)


# offsets by hand


def test_the_second_highest_is_sought_in_the_whole_map() -> None:
    maps = dots((10, 20, 1.0), (40, 20, 0.9), (9, 20, 0.8), (10, 21, 0.7))
    points, scores = decode(maps, plain(0.25))
    np.testing.assert_allclose(in_cells(points)[0], np.tile((10.25, 20), (17, 1)), atol=1e-5)
    np.testing.assert_allclose(scores, 1)


def test_the_offset_has_its_length_in_every_direction() -> None:
    points, _ = decode(dots((10, 20, 1.0), (7, 24, 0.5)), plain(0.25))
    np.testing.assert_allclose(in_cells(points)[0, 0], (10 - 0.25 * 0.6, 20 + 0.25 * 0.8), atol=1e-5)


def test_each_direction_starts_at_the_moved_place() -> None:
    # (10, 10) -> 1 to the right: (11, 10) -> 2.5 toward (14, 14), 3 right and 4 down: (12.5, 12)
    points, _ = decode(dots((10, 10, 1.0), (20, 10, 0.9), (14, 14, 0.8)), plain(1.0, 2.5))
    np.testing.assert_allclose(in_cells(points)[0, 0], (12.5, 12), atol=1e-5)


def test_the_zoos_three_offsets() -> None:
    maps = dots((10, 10, 1.0), (20, 10, 0.9), (10, 30, 0.8), (2, 10, 0.7))
    points, _ = decode(maps, plain(0.35, 0.15, 0.05))
    # toward (20, 10): (10.35, 10). Toward (10, 30): (-0.35, 20) over its length 20.0030623.
    x, y = 10.35 - 0.15 * 0.35 / 20.0030623, 10 + 0.15 * 20 / 20.0030623
    np.testing.assert_allclose((x, y), (10.3473754, 10.1499770), atol=1e-6)
    # toward (2, 10): (-8.3473754, -0.1499770) over its length 8.3487226
    x, y = x - 0.05 * 8.3473754 / 8.3487226, y - 0.05 * 0.1499770 / 8.3487226
    np.testing.assert_allclose(in_cells(points)[0, 0], (x, y), atol=1e-5)


def test_a_place_moved_onto_the_next_cell_stays() -> None:
    points, _ = decode(dots((10, 10, 1.0), (12, 10, 0.9), (11, 10, 0.8)), plain(1.0, 0.5))
    np.testing.assert_allclose(in_cells(points)[0, 0], (11, 10), atol=1e-5)


def test_ties_go_to_the_first_cell_in_row_order() -> None:
    points, _ = decode(dots((30, 5, 1.0), (3, 40, 1.0), (40, 5, 1.0)), plain(0.25))
    np.testing.assert_allclose(in_cells(points)[0, 0], (30.25, 5), atol=1e-5)


def test_cells_are_centred_half_a_stride_in() -> None:
    points, _ = decode(dots((0, 0, 1.0)), plain())
    np.testing.assert_allclose(points, 1.5)  # the middle of pixels 0..3
    points, _ = decode(dots((47, 63, 1.0)), plain())
    np.testing.assert_allclose(points[0, 0], (191 - 1.5, 255 - 1.5))


# DARK


def gaussian_of(column: float, row: float, precision: NDArray[np.float64]) -> Maps:
    """exp(-d' P d / 2) around a place, on 17 maps of one person; P (2, 2)."""
    columns, rows = np.meshgrid(np.arange(48), np.arange(64))
    away = np.stack((columns - column, rows - row), axis=-1)
    exponents = -np.einsum("hwi,ij,hwj->hw", away, precision, away) / 2
    return np.broadcast_to(np.exp(exponents), (1, 17, 64, 48)).astype(np.float32)


def around(*rows: tuple[float, float, float], column: int = 20, row: int = 30) -> Maps:
    """Three by three cells about (column, row), zero elsewhere."""
    maps = np.zeros((1, 17, 64, 48), np.float32)
    maps[:, :, row - 1 : row + 2, column - 1 : column + 2] = rows
    return maps


def dark_place(maps: Maps, spec: ModelSpec = SHARP_DARK) -> NDArray[np.float64]:
    """Column and row of the first keypoint in cells."""
    points, _ = decode(maps, spec)
    return in_cells(points)[0, 0]


def dark_one(heatmap: NDArray[np.float64], kernel: int) -> tuple[NDArray[np.float64], float, float]:
    """DARK as its paper has it, one map at a time: column and row, the gap to the second highest, curvature."""
    pad = max(10, kernel)
    blurred = cv2.GaussianBlur(np.pad(heatmap, pad), (kernel, kernel), 0)[pad:-pad, pad:-pad]
    height, width = blurred.shape
    first, second = np.sort(blurred.ravel())[[-1, -2]]
    row, column = (int(index) for index in np.unravel_index(blurred.argmax(), blurred.shape))
    if first <= 0:  # no response anywhere: its logarithm, and a top between cells, are not defined
        return np.array([column, row], float), float(first - second), -1.0
    r, c = min(max(row, 1), height - 2), min(max(column, 1), width - 2)
    logs = np.log(np.maximum(blurred / first, 1e-10))
    dx, dy = (logs[r, c + 1] - logs[r, c - 1]) / 2, (logs[r + 1, c] - logs[r - 1, c]) / 2
    dxx = logs[r, c + 1] - 2 * logs[r, c] + logs[r, c - 1]
    dyy = logs[r + 1, c] - 2 * logs[r, c] + logs[r - 1, c]
    dxy = (logs[r + 1, c + 1] - logs[r + 1, c - 1] - logs[r - 1, c + 1] + logs[r - 1, c - 1]) / 4
    hessian = np.array([[dxx, dxy], [dxy, dyy]])
    top = float(np.linalg.eigvalsh(hessian).max())
    place = np.array([column, row], float)
    if top < 0:
        step = -np.linalg.solve(hessian, [dx, dy])
        place = np.clip(np.array([c, r]) + step, place - 1, place + 1)
    return place, float(first - second), top


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 9, 17]), st.floats(0, 0.3))
@settings(deadline=None, max_examples=60)
def test_dark_equals_the_plain_loop(seed: int, kernel: int, noise: float) -> None:
    spec = ModelSpec(
        name="loop",
        input_size=(64, 48),
        keypoints=("left_a", "right_a", "b"),
        flip_pairs=((0, 1),),
        skeleton=(),
        decoder=DecoderSpec(kernel, (), refinement="dark"),
    )
    random = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.arange(16), np.arange(12), indexing="ij")
    places = random.uniform(-1, 16, (2, 3, 2, 1, 1))
    width = random.uniform(0.7, 3, (2, 3, 1, 1))
    maps = np.exp(-((columns - places[:, :, 0]) ** 2 + (rows - places[:, :, 1]) ** 2) / (2 * width**2))
    maps = (maps + noise * random.normal(size=maps.shape)).astype(np.float32)
    found = in_cells(decode(maps, spec)[0])
    for person, joint in np.ndindex(2, 3):
        expected, gap, top = dark_one(maps[person, joint].astype(np.float64), kernel)
        if gap > 1e-5 and not -1e-3 < top < 1e-3:  # else the rounding of float32 decides
            np.testing.assert_allclose(found[person, joint], expected, atol=2e-3)


@given(st.floats(5, 42), st.floats(5, 58), st.floats(0.6, 3), st.floats(0.6, 3), st.floats(-np.pi, np.pi))
@settings(deadline=None, max_examples=100)
def test_dark_finds_the_top_of_any_gaussian(x: float, y: float, long: float, short: float, angle: float) -> None:
    assume(max(long, short) < 2 * min(long, short))  # a narrow one lying askew has its top beyond the next cell
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    precision = turn @ np.diag((long**-2, short**-2)) @ turn.T
    np.testing.assert_allclose(dark_place(gaussian_of(x, y, precision)), (x, y), atol=1e-4)


@pytest.mark.parametrize("x", [-0.4, 0.0, 0.3, 23.6, 46.7, 47.0, 47.3])
@pytest.mark.parametrize("y", [-0.2, 0.0, 0.4, 31.2, 62.6, 63.0, 63.4])
def test_dark_at_the_rim(x: float, y: float) -> None:
    np.testing.assert_allclose(dark_place(gaussian_of(x, y, np.diag((0.4, 0.7)))), (x, y), atol=1e-4)


@pytest.mark.parametrize(("x", "y"), [(-3.0, 30.0), (20.0, 66.0), (50.0, -3.0)])
def test_dark_stays_within_a_cell_of_the_highest(x: float, y: float) -> None:
    cell = np.clip((x, y), 0, (47, 63))
    place = dark_place(gaussian_of(x, y, np.eye(2) / 4))
    np.testing.assert_allclose(place, np.clip((x, y), cell - 1, cell + 1), atol=1e-4)


def test_dark_by_hand() -> None:
    # logarithms -2, 0, -1 from left to right and -4, 0, -3 downward: slopes 1/2 and 1/2, bends -3 and -7;
    # those of the corners -6, -5, -5, -3: twist (-3 + 5 + 5 - 6) / 4 = 1/4. Top: -H^-1 g by Cramer's rule,
    # (7 / 2 + 1 / 8, 3 / 2 + 1 / 8) over 21 - 1 / 16
    maps = around(*np.exp([[-6, -4, -5], [-2, 0, -1], [-5, -3, -3]]).tolist())
    np.testing.assert_allclose(dark_place(maps), (20 + 3.625 / 20.9375, 30 + 1.625 / 20.9375), atol=1e-5)


@pytest.mark.parametrize("faint", [0.0, -1.0, -0.5, np.nan])
def test_dark_beside_cells_without_response(faint: float) -> None:
    # such a cell counts 1e-10, logarithm -23.03; the one opposite 0.5, -0.693: slope 11.17, bend -23.72
    maps = around((faint, 0.5, faint), (faint, 1.0, 0.5), (faint, faint, faint))
    logs = np.log([1e-10, 0.5])
    slope, bend = (logs[1] - logs[0]) / 2, logs.sum()
    np.testing.assert_allclose(dark_place(maps), (20 - slope / bend, 30 + slope / bend), atol=1e-5)


ONE = np.float32(1)
LESS = np.nextafter(ONE, np.float32(0))
STILL_LESS = np.nextafter(LESS, np.float32(0))


@pytest.mark.parametrize(
    "cells",
    [
        ((0.99, 0.9, 0.01), (0.9, 1, 0.8), (0.01, 0.9, 0.99)),  # a saddle: it rises toward two corners
        ((0.5, 0.5, 0.5), (STILL_LESS, ONE, LESS), (0.5, 0.6, 0.5)),  # the rounding of float32 is no top
        ((0.5, STILL_LESS, 0.5), (0.5, ONE, 0.6), (0.5, LESS, 0.5)),
    ],
)
def test_dark_leaves_the_centre_where_there_is_no_top(cells: tuple[tuple[float, float, float], ...]) -> None:
    np.testing.assert_allclose(dark_place(around(*cells)), (20, 30), atol=1e-6)


def test_dark_on_a_plateau_is_its_first_cell() -> None:
    np.testing.assert_allclose(dark_place(np.full((1, 17, 64, 48), 0.7, np.float32)), (0, 0), atol=1e-6)


@pytest.mark.parametrize("value", [-1.0, 0.0, -1e-45])
def test_dark_without_any_response(value: float) -> None:
    maps = np.full((1, 17, 64, 48), -2, np.float32)
    maps[..., 9, 7] = value
    points, scores = decode(maps, SHARP_DARK)
    np.testing.assert_allclose(in_cells(points)[0], np.tile((7, 9), (17, 1)))
    assert (scores == 0).all()


@pytest.mark.parametrize("cells", [(1, 1), (1, 5), (5, 1), (2, 5), (5, 2)])
def test_dark_on_maps_too_narrow_for_neighbours(cells: tuple[int, int]) -> None:
    spec = replace(SHARP_DARK, stride=16, input_size=(cells[0] * 16, cells[1] * 16))
    maps = np.full((1, 17, *cells), 0.3, np.float32)
    maps[..., -1, -1] = 1
    points, _ = decode(maps, spec)
    np.testing.assert_allclose(in_cells(points, 16)[0, 0], (cells[1] - 1, cells[0] - 1), atol=1e-6)


@pytest.mark.parametrize("size", [(2, 5), (5, 2)])
def test_dark_on_maps_of_two_cells_across(size: tuple[int, int]) -> None:
    """Wherever the peak is, also where the rows beyond it, counted from the other end, would make a top."""
    spec = replace(SHARP_DARK, stride=16, input_size=(size[0] * 16, size[1] * 16))
    for row, column in np.ndindex(size):
        maps = np.broadcast_to(np.linspace(0.2, 0.6, 10, dtype=np.float32).reshape(size), (1, 17, *size)).copy()
        maps[..., row, column] = 1
        points, _ = decode(maps, spec)
        np.testing.assert_allclose(in_cells(points, 16)[0, 0], (column, row), atol=1e-6)


def test_dark_on_maps_of_three_cells() -> None:
    spec = replace(SHARP_DARK, stride=16, input_size=(48, 48))
    maps = np.broadcast_to(gaussian_of(1.2, 0.7, np.eye(2))[..., :3, :3], (1, 17, 3, 3))
    np.testing.assert_allclose(in_cells(decode(maps, spec)[0], 16)[0, 0], (1.2, 0.7), atol=1e-4)


def test_dark_scores_as_the_offset_does() -> None:
    maps = random_maps(4)
    np.testing.assert_array_equal(decode(maps, DARK)[1], decode(maps, PAPER)[1])


# scores


def test_the_score_is_the_unblurred_response_over_the_peak() -> None:
    maps = np.broadcast_to(gaussian(20, 30, 2, peak=204), (1, 17, 64, 48)).astype(np.float32)
    _, scores = decode(maps, ZOO)
    np.testing.assert_allclose(scores, 0.8, atol=1e-6)


@pytest.mark.parametrize(("response", "score"), [(3.0, 1.0), (0.4, 0.4), (1e-45, 0.0)])
def test_scores_are_clipped(response: float, score: float) -> None:
    _, scores = decode(dots((5, 5, response)), plain())
    np.testing.assert_allclose(scores, score, atol=1e-6)


def test_negative_maps_score_zero() -> None:
    maps = np.full((1, 17, 64, 48), -2, np.float32)
    maps[..., 9, 7] = -1
    points, scores = decode(maps, plain())
    np.testing.assert_allclose(in_cells(points)[0], np.tile((7, 9), (17, 1)))
    assert (scores == 0).all()


def test_offsets_in_negative_maps() -> None:
    maps = np.full((1, 17, 64, 48), -3, np.float32)
    for column, row, response in ((10, 10, -0.5), (20, 10, -1), (10, 30, -2)):
        maps[..., row, column] = response
    points, _ = decode(maps, plain(1.0, 0.0))
    np.testing.assert_allclose(in_cells(points)[0, 0], (11, 10), atol=1e-5)
    points, _ = decode(maps, plain(0.0, 1.0))
    np.testing.assert_allclose(in_cells(points)[0, 0], (10, 11), atol=1e-5)


# maps that no trained network gives


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("spec", [PAPER, ZOO, plain(0.25), DARK, SHARP_DARK])
def test_constant_maps(value: float, spec: ModelSpec) -> None:
    points, scores = decode(np.full((2, 17, 64, 48), value, np.float32), spec)
    assert np.isfinite(points).all()
    np.testing.assert_allclose(scores, value / spec.decoder.heatmap_peak, atol=1e-6)


HOSTILE = [np.nan, np.inf, -np.inf, 1e-45, -1e-45, 0.0, 3.4028235e38, -3.4028235e38, 1.0, 0.3, 300.0]


@given(
    st.lists(st.sampled_from(HOSTILE), min_size=32, max_size=32),
    st.sampled_from([1, 3, 17]),
    st.sampled_from([(), (0.25,), (0.35, 0.15, 0.05), (8.0,) * 8, "dark"]),
    st.sampled_from([1.0, 255.0, 1e-6, 1e6]),
)
@settings(deadline=None, max_examples=150)
def test_any_values_give_finite_places_and_scores(
    values: list[float], kernel: int, refinement: tuple[float, ...] | str, peak: float
) -> None:
    offsets = () if isinstance(refinement, str) else refinement
    dark = refinement == "dark"
    spec = ModelSpec(
        name="hostile",
        input_size=(16, 16),
        keypoints=("left_a", "right_a"),
        flip_pairs=((0, 1),),
        skeleton=(),
        decoder=DecoderSpec(kernel, offsets, peak, refinement="dark" if dark else "offset"),
    )
    points, scores = decode(np.array(values, np.float32).reshape(1, 2, 4, 4), spec)
    assert np.isfinite(points).all()
    assert (np.abs(in_cells(points) - 1.5) <= 1.5 + sum(offsets) + dark + 1e-4).all()
    assert (scores >= 0).all()
    assert (scores <= 1).all()


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("spec", [PAPER, ZOO, DARK, SHARP_DARK])
def test_hostile_constant_maps_of_full_size(value: float, spec: ModelSpec) -> None:
    points, scores = decode(np.full((1, 17, 64, 48), value, np.float32), spec)
    assert np.isfinite(points).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_infinity_is_a_full_response_and_nan_none() -> None:
    maps = dots((5, 6, np.inf), (30, 40, 0.5), (31, 40, np.nan))
    points, scores = decode(maps, plain())
    np.testing.assert_allclose(in_cells(points)[0, 0], (5, 6))
    assert (scores == 1).all()
    points, scores = decode(dots((30, 40, 0.5), (31, 40, np.nan), (3, 4, -np.inf)), plain())
    np.testing.assert_allclose(in_cells(points)[0, 0], (30, 40))
    np.testing.assert_allclose(scores, 0.5)


@pytest.mark.parametrize("spec", [PAPER, ZOO, DARK, SHARP_DARK])
def test_nan_and_minus_infinity_are_zeros_and_infinity_the_peak(spec: ModelSpec) -> None:
    maps = np.maximum(random_maps(2) - 0.5, 0) * np.float32(spec.decoder.heatmap_peak)
    hostile = maps.copy()
    places = np.random.default_rng(3).integers(0, maps.size, (3, 4_000))
    for place, value, replacement in zip(
        places, (np.nan, -np.inf, np.inf), (0, 0, spec.decoder.heatmap_peak), strict=True
    ):
        hostile.flat[place], maps.flat[place] = value, replacement
    for found, expected in zip(decode(hostile, spec), decode(maps, spec), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_map_of_one_cell() -> None:
    spec = replace(PAPER, input_size=(64, 64), stride=64, decoder=DecoderSpec(offsets=(0.35, 0.15, 0.05)))
    points, scores = decode(np.full((1, 17, 1, 1), 0.5, np.float32), spec)
    np.testing.assert_allclose(points, 31.5)
    np.testing.assert_allclose(scores, 0.5)


# batches


def random_maps(persons: int) -> Maps:
    return np.random.default_rng(persons).random((persons, 17, 64, 48), np.float32)


@pytest.mark.parametrize("spec", [PAPER, DARK])
def test_nobody(spec: ModelSpec) -> None:
    points, scores = decode(random_maps(0), spec)
    assert points.shape == (0, 17, 2)
    assert scores.shape == (0, 17)


@pytest.mark.parametrize("spec", [PAPER, ZOO, plain(0.25), DARK, SHARP_DARK])
def test_a_person_is_decoded_the_same_in_any_batch(spec: ModelSpec) -> None:
    maps = random_maps(7)
    points, scores = decode(maps, spec)
    for index in range(7):
        alone, alone_scores = decode(maps[index : index + 1], spec)
        np.testing.assert_array_equal(alone[0], points[index])
        np.testing.assert_array_equal(alone_scores[0], scores[index])


@pytest.mark.parametrize("spec", [PAPER, plain(0.25), DARK, SHARP_DARK])
def test_the_input_is_not_changed(spec: ModelSpec) -> None:
    maps = random_maps(2)
    maps[0, 0, 0, 0] = np.nan
    before = maps.copy()
    maps.flags.writeable = False
    decode(maps, spec)
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_results_are_float32(dtype: type[np.floating]) -> None:
    points, scores = decode(random_maps(1).astype(dtype), PAPER)
    assert points.dtype == scores.dtype == np.float32


# flip test


def mirror_joint(name: str) -> str:
    side, _, rest = name.partition("_")
    return {"left": "right_", "right": "left_"}[side] + rest if rest else name


def swapped(maps: Maps) -> Maps:
    """Left and right keypoints change places."""
    names = PAPER.keypoints
    return maps[:, [names.index(mirror_joint(name)) for name in names]]


def test_exactly_mirrored_maps_average_to_the_original() -> None:
    maps = random_maps(3)
    mirrored = swapped(maps)[..., ::-1]
    np.testing.assert_array_equal(average_flipped(maps, np.ascontiguousarray(mirrored), PAPER), maps)


def test_the_average_takes_half_of_each() -> None:
    maps = dots((10, 20, 1.0))
    mirrored = dots((47 - 12, 20, 0.5))
    average = average_flipped(maps, mirrored, PAPER)
    assert average[0, 0, 20, 10] == 0.5
    assert average[0, 0, 20, 12] == 0.25
    assert average.sum() == pytest.approx(17 * 0.75)


def test_left_and_right_change_places() -> None:
    mirrored = np.zeros((1, 17, 64, 48), np.float32)
    mirrored[0, PAPER.keypoints.index("left_wrist"), 5, 47 - 8] = 1
    average = average_flipped(np.zeros_like(mirrored), mirrored, PAPER)
    assert [tuple(place) for place in np.argwhere(average)] == [(0, PAPER.keypoints.index("right_wrist"), 5, 8)]


def test_a_shift_of_one_for_cells_at_multiples_of_the_stride() -> None:
    """Cell i lies on input pixel 4 i. The mirror takes pixel p to 191 - p, so a keypoint at cell i,
    pixel 4 i, is seen by the mirrored crop at pixel 191 - 4 i, a quarter of a cell from cell 48 - i.
    """
    spec = replace(PAPER, decoder=DecoderSpec(flip_shift=1))
    maps = random_maps(2)
    mirrored = np.zeros_like(maps)
    for cell in range(1, 48):
        mirrored[..., 48 - cell] = swapped(maps)[..., cell]
    np.testing.assert_array_equal(average_flipped(maps, mirrored, spec)[..., 1:], maps[..., 1:])


def test_flip_averaging_leaves_its_inputs() -> None:
    maps, mirrored = random_maps(2), random_maps(3)[:2]
    before = maps.copy(), mirrored.copy()
    for shift in (0, 1):
        average_flipped(maps, mirrored, replace(PAPER, decoder=DecoderSpec(flip_shift=shift)))
    np.testing.assert_array_equal(maps, before[0])
    np.testing.assert_array_equal(mirrored, before[1])

"""From heatmaps to keypoints: blur, highest response, refinement within its cell; flip averaging."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.model_spec import ModelSpec

Cells = NDArray[np.intp]
Location = NDArray[np.float64]

MAX_SHIFT = 1.0
"""Cells along each axis that "dark" moves a location at most from the highest cell."""
_BESIDE = np.array((-1, 0, 1))
_FAINTEST = 1e-10
"""Part of the highest response that a neighbour counts for at least: the logarithm of none is not defined."""
_FLATTEST = 1e-6
"""Curvature of a map's logarithm below which float32 has no top to tell."""


@lru_cache(maxsize=16)
def _blur_matrix(length: int, kernel: int) -> NDArray[np.float32]:
    """Gaussian blur of a line of `length` cells, zero outside, as a (length, length) matrix.

    The sigma is the one that OpenCV derives from the kernel's size, since the paper and the zoo
    give a size only. A product with a small matrix blurs all maps in one call and starts no threads.
    """
    taps = cv2.getGaussianKernel(kernel, 0)[:, 0]
    distance = np.subtract.outer(np.arange(length), np.arange(length))
    inside = np.abs(distance) <= kernel // 2
    matrix = np.where(inside, taps[np.clip(distance + kernel // 2, 0, kernel - 1)], 0)
    return matrix.astype(np.float32)


def blur(heatmaps: NDArray[np.float32], kernel: int) -> NDArray[np.float32]:
    """Gaussian blur of heatmaps (N, K, h, w), zero outside the map; kernel 1 changes nothing."""
    if kernel == 1:
        return heatmaps
    height, width = heatmaps.shape[2:]
    rows, columns = _blur_matrix(height, kernel), _blur_matrix(width, kernel)
    # a product to each map: one for all of them would be faster, and its rounding depend on how many there are
    return np.asarray(rows @ heatmaps @ columns, np.float32)


def average_flipped(
    heatmaps: NDArray[np.float32], mirrored: NDArray[np.float32], spec: ModelSpec
) -> NDArray[np.float32]:
    """Mean of heatmaps (N, K, h, w) and those of the mirrored crops, flipped back.

    Left and right keypoints change places; `spec.decoder.flip_shift` cells of shift belong to
    networks whose cells are not centred (cell i on pixel 4 i), see `_cells_to_pixels`.
    """
    back = mirrored[:, spec.flip_order, :, ::-1]
    if shift := spec.decoder.flip_shift:
        back = np.concatenate((back[..., :shift], back[..., :-shift]), axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):  # of what is not finite `decode` knows what to make
        return (heatmaps + back) / np.float32(2)


def _cells(flat: NDArray[np.intp], width: int) -> NDArray[np.float64]:
    """Column and row (M, 2) of flat cell indices (M,)."""
    return np.stack((flat % width, flat // width), axis=1).astype(np.float64)


def _peaks(responses: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Flat indices (count, M) of the highest responses of each row (M, cells), highest first.

    Ties go to the first cell in row order, which a partial sort would leave open.
    """
    rows = np.arange(len(responses))
    left = responses.copy()
    peaks = np.empty((count, len(responses)), np.intp)
    for index in range(count):
        peaks[index] = left.argmax(1)
        left[rows, peaks[index]] = -np.inf
    return peaks


def _toward_next(responses: NDArray[np.float32], width: int, offsets: tuple[float, ...]) -> tuple[Cells, Location]:
    """Highest cells (M,) and locations (M, 2) moved from them toward the next-highest cells.

    The paper (section III-D) speaks of the offset "in the direction from the highest response to the
    second highest response" and names no neighbourhood: the second-highest of the whole map is meant.
    """
    peaks = _peaks(responses, 1 + len(offsets))
    location = _cells(peaks[0], width)
    for offset, flat in zip(offsets, peaks[1:], strict=True):
        way = _cells(flat, width) - location
        length = np.hypot(way[:, 0], way[:, 1])[:, None]
        location += np.divide(offset * way, length, out=np.zeros_like(way), where=length > 1e-3)
    return peaks[0], location


def _toward_summit(responses: NDArray[np.float32], width: int) -> tuple[Cells, Location]:
    """Highest cells (M,) and locations (M, 2) at the top of the Gaussian that the map has around them.

    DARK: the logarithm of a Gaussian is a parabola, whose top is a Newton step, -H^-1 g, away from any
    point of it. So a peak on the map's rim is looked at from the cell beside it, which has neighbours
    on all sides. Where the map has no top there (a plateau, a ridge, a saddle) the cell's centre is
    the location, and nowhere does it leave the cells around the highest.
    """
    peaks = responses.argmax(1)
    cells = _cells(peaks, width)
    maps = responses.reshape(len(responses), responses.shape[1] // width, width)
    height = maps.shape[1]
    if min(height, width) < 3:
        return peaks, cells
    seen_from = np.clip(cells, 1, (width - 2, height - 2))
    column, row = seen_from.astype(np.intp).T[:, :, None, None]
    around = maps[np.arange(len(maps))[:, None, None], row + _BESIDE[:, None], column + _BESIDE].astype(np.float64)
    top = np.take_along_axis(responses, peaks[:, None], axis=1)[:, :, None].astype(np.float64)
    relative = np.divide(around, top, out=np.full_like(around, _FAINTEST), where=top > 0)
    step, found = _newton_step(np.log(np.maximum(relative, _FAINTEST)))
    moved = np.clip(seen_from + step, cells - MAX_SHIFT, cells + MAX_SHIFT)
    return peaks, np.where(found[:, None], moved, cells)


def _newton_step(values: NDArray[np.float64]) -> tuple[Location, NDArray[np.bool_]]:
    """Step (M, 2) in x and y from the middle of values (M, 3, 3) to their top, and whether (M,) they have one."""
    middle, left, right, above, below = (values[:, *place] for place in ((1, 1), (1, 0), (1, 2), (0, 1), (2, 1)))
    slope_x, slope_y = (right - left) / 2, (below - above) / 2
    bend_x, bend_y = right - 2 * middle + left, below - 2 * middle + above
    twist = (values[:, 2, 2] - values[:, 2, 0] - values[:, 0, 2] + values[:, 0, 0]) / 4
    determinant = bend_x * bend_y - twist**2
    found = (bend_x < -_FLATTEST) & (bend_y < -_FLATTEST) & (determinant > _FLATTEST * bend_x * bend_y)
    step = np.stack((twist * slope_y - bend_y * slope_x, twist * slope_x - bend_x * slope_y), axis=1)
    return np.divide(step, determinant[:, None], out=np.zeros_like(step), where=found[:, None]), found


def _cells_to_pixels(location: Location, spec: ModelSpec) -> Location:
    """Crop pixel indices of locations in cells, by where the network's cells lie (`DecoderSpec.flip_shift`)."""
    return location * spec.stride if spec.decoder.flip_shift else (location + 0.5) * spec.stride - 0.5


def decode(heatmaps: NDArray[np.float32], spec: ModelSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Keypoints (N, K, 2) in crop pixel indices and scores (N, K) in [0, 1] of heatmaps (N, K, h, w).

    The location is the highest response of the blurred map, refined within its cell as the spec's
    decoder says. The score is the response at the highest cell before the blur, which would flatten it.

    NaN and -inf count as no response.
    """
    persons, keypoints, height, width = heatmaps.shape
    decoder = spec.decoder
    finite = heatmaps  # asking costs a tenth of replacing
    if not np.isfinite(heatmaps).all():
        finite = np.nan_to_num(heatmaps, nan=0.0, posinf=decoder.heatmap_peak, neginf=0.0)
    responses = blur(finite, decoder.blur_kernel).reshape(persons * keypoints, height * width)
    if decoder.refinement == "dark":
        peaks, location = _toward_summit(responses, width)
    else:
        peaks, location = _toward_next(responses, width, decoder.offsets)
    raw = np.take_along_axis(finite.reshape(responses.shape), peaks[:, None], axis=1)
    scores = np.clip(raw, 0, decoder.heatmap_peak) / decoder.heatmap_peak
    points = _cells_to_pixels(location, spec)
    return (
        points.reshape(persons, keypoints, 2).astype(np.float32),
        scores.reshape(persons, keypoints).astype(np.float32),
    )

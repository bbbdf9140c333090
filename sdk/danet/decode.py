"""From heatmaps to keypoints: blur, highest response, offset toward the next ones; flip averaging."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.model_spec import ModelSpec


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
    return np.asarray(rows @ heatmaps @ columns, np.float32)


def average_flipped(
    heatmaps: NDArray[np.float32], mirrored: NDArray[np.float32], spec: ModelSpec
) -> NDArray[np.float32]:
    """Mean of heatmaps (N, K, h, w) and those of the mirrored crops, flipped back.

    Left and right keypoints change places; `spec.decoder.flip_shift` cells of shift belong to
    networks whose cells are not centred (users.md, point 3).
    """
    back = mirrored[:, spec.flip_order, :, ::-1]
    if shift := spec.decoder.flip_shift:
        back = np.concatenate((back[..., :shift], back[..., :-shift]), axis=-1)
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


def decode(heatmaps: NDArray[np.float32], spec: ModelSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Keypoints (N, K, 2) in crop pixel indices and scores (N, K) in [0, 1] of heatmaps (N, K, h, w).

    The location is the highest response of the blurred map, moved a fixed part of a cell toward the
    second-highest response, and so on for the further offsets of the spec. The paper (section III-D)
    speaks of the offset "in the direction from the highest response to the second highest response"
    and names no neighbourhood: the second-highest of the whole map is meant. The score is the
    response at the highest cell before the blur, which would flatten it.

    NaN and -inf count as no response.
    """
    persons, keypoints, height, width = heatmaps.shape
    finite = np.nan_to_num(heatmaps, nan=0.0, posinf=spec.decoder.heatmap_peak, neginf=0.0)
    responses = blur(finite, spec.decoder.blur_kernel).reshape(persons * keypoints, height * width)
    peaks = _peaks(responses, 1 + len(spec.decoder.offsets))
    location = _cells(peaks[0], width)
    for offset, flat in zip(spec.decoder.offsets, peaks[1:], strict=True):
        way = _cells(flat, width) - location
        length = np.hypot(way[:, 0], way[:, 1])[:, None]
        location += np.divide(offset * way, length, out=np.zeros_like(way), where=length > 1e-3)
    raw = np.take_along_axis(finite.reshape(responses.shape), peaks[0][:, None], axis=1)
    peak = spec.decoder.heatmap_peak
    scores = (np.clip(raw, 0, peak) / peak).reshape(persons, keypoints)
    points = (location + 0.5) * spec.stride - 0.5
    return points.reshape(persons, keypoints, 2).astype(np.float32), scores.astype(np.float32)

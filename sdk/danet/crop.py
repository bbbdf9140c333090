"""From a frame and person boxes to network crops, and from crop coordinates back to the frame.

Coordinates. Boxes are edges: pixel i covers [i, i + 1), so a box over a whole frame of width W is
(0, ..., W, ...). Keypoints are pixel indices: the integer i is the centre of pixel i, as in COCO's
annotations and OpenCV. The two differ by half a pixel, and both conversions below honour it, so a
mirrored frame with mirrored boxes gives exactly the mirrored crop.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.model_spec import ModelSpec

MAX_WARP_SIDE = 32_766
"""cv2.warpAffine addresses source pixels with 16-bit integers."""


def padded_size(boxes: NDArray[np.float64], spec: ModelSpec) -> NDArray[np.float64]:
    """Width and height (N, 2) of boxes (N, 4) xyxy after padding and extension to the crop's aspect.

    The person box is widened by `spec.box_padding` in x and y, then the shorter side is extended
    (the paper's section IV-A; the zoo widens by 1.1).
    """
    height, width = spec.input_size
    aspect = width / height
    padded = (boxes[:, 2:] - boxes[:, :2]) * spec.box_padding
    wide = np.maximum(padded[:, 0], padded[:, 1] * aspect)
    return np.stack((wide, wide / aspect), axis=1)


def crop_affines(boxes: NDArray[np.float64], spec: ModelSpec) -> NDArray[np.float64]:
    """Matrices (N, 2, 3) from frame pixel indices to crop pixel indices, for boxes (N, 4) xyxy."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    return similarity_affines(centers, padded_size(boxes, spec)[:, 0], spec)


def similarity_affines(
    centers: NDArray[np.float64],
    widths: NDArray[np.float64],
    spec: ModelSpec,
    rotations: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Matrices (N, 2, 3) from frame to crop pixel indices, for turned boxes of the crop's aspect.

    Args:
        centers: (N, 2) float64, frame pixels, edge coordinates.
        widths: (N,) float64, frame pixels that the crop's width spans.
        spec: gives the crop's size.
        rotations: (N,) float64 radians by which the crop's content is turned, none by default.
    """
    height, width = spec.input_size
    scales = width / widths
    angles = np.zeros_like(scales) if rotations is None else rotations
    cosines, sines = np.cos(angles) * scales, np.sin(angles) * scales
    linear = np.stack((cosines, -sines, sines, cosines), axis=1).reshape(-1, 2, 2)
    # index + 0.5 is the edge coordinate of a pixel's centre, on both sides of the map
    shift = np.array((width / 2, height / 2)) - 0.5 - np.einsum("nij,nj->ni", linear, centers - 0.5)
    return np.concatenate((linear, shift[:, :, None]), axis=2)


def crop_persons(
    frame: NDArray[np.uint8],
    affines: NDArray[np.float64],
    spec: ModelSpec,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Bilinear crops (N, H, W, 3) uint8 BGR of a frame (H, W, 3) uint8 BGR.

    Pixels outside the frame are the spec's mean colour, which the network sees as 0.

    Args:
        frame: the picture, contiguous.
        affines: (N, 2, 3), frame to crop pixel indices.
        spec: gives the crop's size and mean colour.
        out: where to write; allocated if not given.
    """
    height, width = spec.input_size
    crops = np.empty((len(affines), height, width, 3), np.uint8) if out is None else out
    border = tuple(round(value) for value in spec.mean)
    for crop, affine in zip(crops, affines, strict=True):
        source, matrix = _addressable(frame, affine, (width, height))
        cv2.warpAffine(source, matrix, (width, height), dst=crop, borderMode=cv2.BORDER_CONSTANT, borderValue=border)
    return crops


def _addressable(
    frame: NDArray[np.uint8], affine: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The part of a huge frame that the crop looks at, with the affine that fits it.

    A part that is itself too large is thinned to every second, third, ... pixel: such a crop skips
    more pixels than that anyway.
    """
    if max(frame.shape[:2]) <= MAX_WARP_SIDE:
        return frame, affine
    corners = np.array([[0, 0], [size[0], 0], [0, size[1]], size], np.float64)[None]
    inside = to_frame(corners, affine[None])[0]
    limit = np.array(frame.shape[1::-1])
    low = np.clip(np.floor(inside.min(0)) - 2, 0, limit - 1).astype(int)
    high = np.clip(np.ceil(inside.max(0)) + 2, low + 1, limit).astype(int)
    step = -(-int((high - low).max()) // MAX_WARP_SIDE)
    shifted = affine.copy()
    shifted[:, 2] += affine[:, :2] @ low
    shifted[:, :2] *= step
    return np.ascontiguousarray(frame[low[1] : high[1] : step, low[0] : high[0] : step]), shifted


def to_frame(points: NDArray[np.floating], affines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Crop pixel indices (N, K, 2) -> frame pixel indices (N, K, 2), by the inverse of `affines`."""
    linear, shift = affines[:, :, :2], affines[:, None, :, 2]
    inside: NDArray[np.float64] = np.einsum("nij,nkj->nki", np.linalg.inv(linear), points - shift)
    return inside


def to_crop(points: NDArray[np.floating], affines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frame pixel indices (N, K, 2) -> crop pixel indices (N, K, 2)."""
    moved: NDArray[np.float64] = np.einsum("nij,nkj->nki", affines[:, :, :2], points) + affines[:, None, :, 2]
    return moved

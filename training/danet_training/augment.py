"""Random changes of a training sample: geometry first, as one affine, then the pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.crop import crop_persons, padded_size, similarity_affines, to_crop
from danet.model_spec import ModelSpec
from danet_training.config import Augmentation

_UPPER_BODY = tuple(range(13))
_BUST = tuple(range(9))
_LOWER_BODY = tuple(range(11, 17))
PARTS = (_UPPER_BODY, _BUST, _LOWER_BODY)
PART_SHARES = (0.45, 0.3, 0.25)
"""Parts of the body that a crop may be cut to, and how often. MSPN cuts halves; the bust (head to
elbows) is ours, since cameras on desks and doors see no more."""
HALF_BODY_MINIMUM = 3
"""Labelled keypoints that a half needs to stand for a person (as the zoo has it)."""
GREY_SHARE = 0.1
"""Of the samples whose colours change, those that lose them."""
HALF_BODY_MARGIN = 0.15
"""Room around the part's keypoints, relative to the longer side of their box."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A training crop with its keypoints."""

    image: NDArray[np.uint8]
    """(H, W, 3) uint8 BGR."""
    keypoints: NDArray[np.float32]
    """(K, 2) float32, crop pixel indices."""
    visibility: NDArray[np.int8]
    """(K,) int8: 0 unlabelled or outside the crop, 1 hidden, 2 visible."""


def half_body_box(
    keypoints: NDArray[np.float32], visibility: NDArray[np.int8], rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """A box (4,) xyxy around the keypoints of a part of the body, or None where too few are labelled.

    After the half-body transform of MSPN (Li et al., 2019): the network sees persons cut at the waist.
    """
    part = np.array(PARTS[rng.choice(len(PARTS), p=PART_SHARES)])
    chosen = keypoints[part[visibility[part] > 0]]
    if len(chosen) < HALF_BODY_MINIMUM:
        return None
    low, high = chosen.min(0).astype(np.float64) + 0.5, chosen.max(0).astype(np.float64) + 0.5
    margin = HALF_BODY_MARGIN * max(*(high - low), 1.0)
    return np.concatenate((low - margin, high + margin))


def make_sample(
    image: NDArray[np.uint8],
    box: NDArray[np.float64],
    keypoints: NDArray[np.float32],
    visibility: NDArray[np.int8],
    spec: ModelSpec,
    options: Augmentation,
    rng: np.random.Generator,
) -> Sample:
    """One augmented crop, cut by the same function as at run time.

    Args:
        image: (H, W, 3) uint8 BGR.
        box: (4,) float64 xyxy, frame pixels.
        keypoints: (K, 2) float32, frame pixel indices.
        visibility: (K,) int8.
        spec: crop size, padding, mean colour and flip pairs.
        options: what may happen.
        rng: decides what does.
    """
    if rng.random() < options.half_body_probability:
        half = half_body_box(keypoints, visibility, rng)
        box = box if half is None else half
    affine = _random_affine(box, spec, options, rng)
    crop = crop_persons(image, affine[None], spec)[0]
    points = to_crop(keypoints[None], affine[None])[0].astype(np.float32)
    seen = visibility
    if rng.random() < options.flip_probability:
        crop, points, seen = mirror(crop, points, seen, spec)
    height, width = spec.input_size
    inside = ((points > -0.5) & (points < (width - 0.5, height - 0.5))).all(1)
    return Sample(_change_pixels(crop, options, rng), points, np.where(inside, seen, 0).astype(np.int8))


def mirror(
    crop: NDArray[np.uint8], points: NDArray[np.float32], visibility: NDArray[np.int8], spec: ModelSpec
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int8]]:
    """Flip a crop left to right; left keypoints become right ones."""
    order = spec.flip_order
    mirrored = points[order].copy()
    mirrored[:, 0] = spec.input_size[1] - 1 - mirrored[:, 0]
    return np.ascontiguousarray(crop[:, ::-1]), mirrored, visibility[order]


def _random_affine(
    box: NDArray[np.float64], spec: ModelSpec, options: Augmentation, rng: np.random.Generator
) -> NDArray[np.float64]:
    size = padded_size(box[None], spec)[0] * rng.uniform(*options.scale)
    center = (box[:2] + box[2:]) / 2 + size * rng.uniform(-options.shift, options.shift, 2)
    turned = rng.random() < options.rotation_probability
    angle = np.deg2rad(rng.uniform(-options.rotation, options.rotation)) if turned else 0.0
    affine: NDArray[np.float64] = similarity_affines(center[None], size[:1], spec, np.array([angle]))[0]
    return affine


def _change_pixels(crop: NDArray[np.uint8], options: Augmentation, rng: np.random.Generator) -> NDArray[np.uint8]:
    if options.color_jitter:
        crop = _jitter(crop, options.color_jitter, rng)
    if rng.random() < options.degrade_probability:
        crop = _degrade(crop, rng)
    return crop


def _jitter(crop: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Contrast about the middle grey, brightness, and a colour cast, as one table for each channel."""
    contrast = 1 + rng.uniform(-strength, strength)
    shift = 128 * rng.uniform(-strength, strength)
    casts = 1 + rng.uniform(-strength / 2, strength / 2, 3)
    levels = np.arange(256)[:, None]
    table = np.clip(((levels - 128) * contrast + 128 + shift) * casts, 0, 255).astype(np.uint8)
    if rng.random() < GREY_SHARE:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR).astype(np.uint8)
    return np.asarray(cv2.LUT(crop, table[None]), np.uint8)


def _degrade(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    kind = rng.integers(3)
    if kind == 0:
        return np.asarray(cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.5, 2.0)), np.uint8)
    if kind == 1:
        noise = rng.normal(0, rng.uniform(3, 15), crop.shape)
        return np.clip(crop + noise, 0, 255).astype(np.uint8)
    quality = int(rng.integers(15, 60))
    encoded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)

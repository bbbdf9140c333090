"""The changes of `danet_training.augment` for many persons at once, on the training device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from danet.model_spec import ModelSpec
from danet_training.augment import GREY_SHARE, HALF_BODY_MARGIN, HALF_BODY_MINIMUM, PART_SHARES, PARTS
from danet_training.config import Augmentation
from danet_training.picture_store import PictureStore

_GREY = (0.114, 0.587, 0.299)
"""Weights of B, G and R in the luma of ITU-R BT.601, as cv2.cvtColor has them."""


@dataclass(frozen=True)
class Persons:
    """Annotated persons on the device."""

    pictures: Tensor
    """(P,) int64, numbers of pictures in a store."""
    boxes: Tensor
    """(P, 4) float64 xyxy, frame pixels, edges."""
    keypoints: Tensor
    """(P, K, 2) float64, frame pixel indices."""
    visibility: Tensor
    """(P, K) int8."""

    def chosen(self, rows: Tensor) -> Persons:
        """Some of them, in the order of `rows` (N,) int64."""
        return Persons(self.pictures[rows], self.boxes[rows], self.keypoints[rows], self.visibility[rows])


class DeviceAugmenter:
    """Makes augmented crops of persons; each call draws anew from `generator`.

    Args:
        spec: crop size, padding, mean colour and flip pairs.
        options: what may happen; `degrade_probability` must be 0.
        generator: on the device; decides what does.
    """

    def __init__(self, spec: ModelSpec, options: Augmentation, generator: Generator) -> None:
        device = generator.device
        self._spec = spec
        self._options = options
        self._generator = generator
        self._device = device
        self._border = torch.tensor([float(round(value)) for value in spec.mean], device=device)
        self._flip_order = torch.as_tensor(spec.flip_order, device=device)
        self._parts = torch.zeros((len(PARTS), len(spec.keypoints)), dtype=torch.bool, device=device)
        for row, part in zip(self._parts, PARTS, strict=True):
            row[list(part)] = True
        self._part_ends = torch.from_numpy(np.cumsum(PART_SHARES[:-1])).float().to(device)
        self._grey = torch.tensor(_GREY, device=device)

    def __call__(self, persons: Persons, store: PictureStore) -> tuple[Tensor, Tensor, Tensor]:
        """Images (N, H, W, 3) uint8 BGR, keypoints (N, K, 2) float32 crop pixels, visibility (N, K) int8."""
        height, width = self._spec.input_size
        affines = self._affines(self._boxes(persons))
        flipped = self._chance(len(affines), self._options.flip_probability)
        mirrored = affines.clone()
        mirrored[:, 0] = -mirrored[:, 0]
        mirrored[:, 0, 2] += width - 1
        affines = torch.where(flipped[:, None, None], mirrored, affines)
        points = persons.keypoints @ affines[:, :, :2].mT + affines[:, None, :, 2]
        points = torch.where(flipped[:, None, None], points[:, self._flip_order], points)
        seen = torch.where(flipped[:, None], persons.visibility[:, self._flip_order], persons.visibility)
        limit = points.new_tensor((width - 0.5, height - 0.5))
        inside = ((points > -0.5) & (points < limit)).all(2)
        crops = store.crops(persons.pictures, affines, (height, width), self._border)
        return self._recoloured(crops), points.float(), torch.where(inside, seen, 0)

    def _boxes(self, persons: Persons) -> Tensor:
        """The persons' boxes, some cut to a part of the body: see `augment.half_body_box`."""
        count = len(persons.boxes)
        cut = self._chance(count, self._options.half_body_probability)
        drawn = torch.rand((count, 1), device=self._device, generator=self._generator)
        parts = (drawn > self._part_ends).sum(1)
        taken = self._parts[parts] & (persons.visibility > 0)
        cut &= taken.sum(1) >= HALF_BODY_MINIMUM
        low = torch.where(taken[..., None], persons.keypoints, torch.inf).amin(1) + 0.5
        high = torch.where(taken[..., None], persons.keypoints, -torch.inf).amax(1) + 0.5
        margin = HALF_BODY_MARGIN * (high - low).amax(1, keepdim=True).clamp(min=1.0)
        return torch.where(cut[:, None], torch.cat((low - margin, high + margin), 1), persons.boxes)

    def _affines(self, boxes: Tensor) -> Tensor:
        """Frame to crop pixel indices (N, 2, 3) float64: scaled, moved and turned, as `augment` does."""
        options, count = self._options, len(boxes)
        height, width = self._spec.input_size
        aspect = width / height
        sides = (boxes[:, 2:] - boxes[:, :2]) * self._spec.box_padding
        wide = torch.maximum(sides[:, 0], sides[:, 1] * aspect) * self._between(options.scale, count)
        shift = self._between((-options.shift, options.shift), count, 2)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2 + torch.stack((wide, wide / aspect), 1) * shift
        angles = torch.deg2rad(self._between((-options.rotation, options.rotation), count))
        angles = torch.where(self._chance(count, options.rotation_probability), angles, 0.0)
        cosines, sines = angles.cos() * width / wide, angles.sin() * width / wide
        linear = torch.stack((cosines, -sines, sines, cosines), 1).view(-1, 2, 2)
        middle = linear.new_tensor((width / 2 - 0.5, height / 2 - 0.5))
        return torch.cat((linear, (middle - (linear @ (centers - 0.5)[:, :, None])[:, :, 0])[:, :, None]), 2)

    def _recoloured(self, crops: Tensor) -> Tensor:
        """Contrast, brightness, a colour cast and some grey: see `augment`."""
        strength = self._options.color_jitter
        if strength:
            count = len(crops)
            grey = self._chance(count, GREY_SHARE)[:, None, None, None]
            crops = torch.where(grey, (crops @ self._grey)[..., None], crops)
            contrast = 1 + self._between((-strength, strength), count, 1).float()
            brightness = 128 * self._between((-strength, strength), count, 1).float()
            casts = 1 + self._between((-strength / 2, strength / 2), count, 3).float()
            factor, level = contrast * casts, (128 + brightness - 128 * contrast) * casts
            crops = crops * factor[:, None, None] + level[:, None, None]
        return crops.round().clamp(0, 255).byte()

    def _between(self, ends: tuple[float, float], *shape: int) -> Tensor:
        drawn = torch.rand(shape, dtype=torch.float64, device=self._device, generator=self._generator)
        return ends[0] + (ends[1] - ends[0]) * drawn

    def _chance(self, count: int, probability: float) -> Tensor:
        return torch.rand(count, device=self._device, generator=self._generator) < probability

"""Regression targets and losses of the four scales."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CUTOFF = 0.01
"""Target values below this part of the peak are cut to 0 (as the zoo has it)."""


def gaussian_targets(keypoints: Tensor, size: tuple[int, int], stride: int, sigma: float) -> Tensor:
    """Heatmaps exp(-d^2 / 2 sigma^2) with peak 1, d measured between cell centres and keypoints.

    Args:
        keypoints: (N, K, 2) float, crop pixel indices.
        size: heatmap height and width in cells.
        stride: input pixels to a cell; cell i is centred on pixel (i + 0.5) * stride - 0.5.
        sigma: in input pixels.

    Returns:
        (N, K, h, w) float32.
    """
    axes = [torch.arange(cells, device=keypoints.device) + 0.5 for cells in size]
    rows, columns = (axis * stride - 0.5 for axis in axes)
    # the Gaussian is separable: h + w exponentials for a map, not h * w
    vertical = torch.exp(-((rows - keypoints[..., 1:]) ** 2) / (2 * sigma**2))
    horizontal = torch.exp(-((columns - keypoints[..., :1]) ** 2) / (2 * sigma**2))
    targets = vertical[..., :, None] * horizontal[..., None, :]
    return torch.where(targets < CUTOFF, 0, targets)


def coarse_loss(errors: Tensor, weights: Tensor) -> Tensor:
    """Mean over all keypoints: errors and weights (N, K) -> scalar."""
    return (errors * weights).mean()


def finest_loss(errors: Tensor, weights: Tensor, ohkm: int) -> Tensor:
    """Mean of each person's `ohkm` largest weighted errors, 0 for all: (N, K) twice -> scalar.

    Online hard keypoint mining of CPN (Chen et al., 2018).
    """
    weighted = errors * weights
    return weighted.topk(ohkm, dim=1).values.mean() if ohkm else weighted.mean()


def _map_errors(heatmaps: Tensor, targets: Tensor) -> Tensor:
    return (heatmaps.float() - targets).square().mean((2, 3))


@dataclass(frozen=True)
class SoftTargets:
    """A teacher's heatmaps for the same crops, beside the labels."""

    heatmaps: Tensor
    """(N, K, h, w) float32, peak 1, on the cells of the network."""
    taught: Tensor
    """(N,) bool: for the other crops the labels alone count."""
    sigma: float
    """Width of its peaks in input pixels."""
    unlabelled_weight: float
    """Of keypoints without a label, on all four scales, where a labelled one counts 1."""
    labelled_share: float
    """Part of a labelled keypoint's target that is the teacher's; 0: the label alone is the truth."""

    def widened(self, sigma: float) -> Tensor:
        """The heatmaps with peaks of another width.

        A Gaussian raised to the power p is one of sigma / sqrt(p); the map's own peak is kept.
        """
        heatmaps = self.heatmaps.clamp(min=0)
        peak = heatmaps.amax((2, 3), keepdim=True).clamp(min=CUTOFF)
        powers = peak * (heatmaps / peak) ** ((self.sigma / sigma) ** 2)
        return torch.where(heatmaps < _TEACHER_FLOOR * peak, 0, powers)


_TEACHER_FLOOR = 0.02
"""Part of a map's peak below which a teacher's response is noise, which a power below 1 would lift."""


def total_loss(
    outputs: list[Tensor],
    keypoints: Tensor,
    visibility: Tensor,
    sigmas: tuple[float, ...],
    stride: int,
    ohkm: int,
    coarse_weight: float,
    peak: float,
    soft: SoftTargets | None = None,
) -> Tensor:
    """Loss of the four scales, coarse first, as the zoo's training has it; OHKM is the paper's (section IV-A).

    Args:
        outputs: four heatmaps (N, K, h, w).
        keypoints: (N, K, 2) float, crop pixel indices.
        visibility: (N, K), 0, 1 or 2.
        sigmas: of the four targets, input pixels, coarse first.
        stride: input pixels to a cell.
        ohkm: keypoints kept on the finest scale; 0: all.
        coarse_weight: of each coarse scale.
        peak: response that a perfect keypoint has.
        soft: a teacher's heatmaps; None: labels alone.
    """
    size = (outputs[-1].shape[2], outputs[-1].shape[3])
    targets = [gaussian_targets(keypoints, size, stride, sigma) for sigma in sigmas]
    extra = torch.zeros_like(visibility, dtype=torch.float32)
    if soft is not None:
        labelled = (visibility >= 1)[..., None, None]
        share = torch.where(labelled, soft.labelled_share, 1.0) * soft.taught[:, None, None, None]
        targets = [torch.lerp(one, soft.widened(sigma), share) for one, sigma in zip(targets, sigmas, strict=True)]
        extra = soft.unlabelled_weight * ((visibility == 0) & soft.taught[:, None]).float()
    coarse_weights, fine_weights = (visibility == 2).float() + extra, (visibility >= 1).float() + extra
    errors = [_map_errors(heatmaps, peak * target) for heatmaps, target in zip(outputs, targets, strict=True)]
    coarse = sum((coarse_loss(one, coarse_weights) for one in errors[:-1]), start=outputs[0].new_zeros(()))
    return coarse_weight * coarse + finest_loss(errors[-1], fine_weights, ohkm)

"""Regression targets and losses of the four scales."""

from __future__ import annotations

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


def coarse_loss(heatmaps: Tensor, targets: Tensor, visibility: Tensor) -> Tensor:
    """Mean squared error over visible keypoints (v = 2): (N, K, h, w) twice, (N, K) -> scalar."""
    weight = (visibility == 2).float()
    return (_map_errors(heatmaps, targets) * weight).mean()


def finest_loss(heatmaps: Tensor, targets: Tensor, visibility: Tensor, ohkm: int) -> Tensor:
    """Squared error of the `ohkm` hardest labelled keypoints (v >= 1) of each person, 0 for all.

    Online hard keypoint mining of CPN (Chen et al., 2018): the mean over the largest errors.
    """
    errors = _map_errors(heatmaps, targets) * (visibility >= 1).float()
    return errors.topk(ohkm, dim=1).values.mean() if ohkm else errors.mean()


def _map_errors(heatmaps: Tensor, targets: Tensor) -> Tensor:
    return (heatmaps.float() - targets).square().mean((2, 3))


def total_loss(
    outputs: list[Tensor],
    keypoints: Tensor,
    visibility: Tensor,
    sigmas: tuple[float, ...],
    stride: int,
    ohkm: int,
    coarse_weight: float,
    peak: float,
) -> Tensor:
    """Loss of the four scales, coarse first (danet.md section 3).

    Args:
        outputs: four heatmaps (N, K, h, w).
        keypoints: (N, K, 2) float, crop pixel indices.
        visibility: (N, K), 0, 1 or 2.
        sigmas: of the four targets, input pixels, coarse first.
        stride: input pixels to a cell.
        ohkm: keypoints kept on the finest scale; 0: all.
        coarse_weight: of each coarse scale.
        peak: response that a perfect keypoint has.
    """
    size = (outputs[-1].shape[2], outputs[-1].shape[3])
    targets = [peak * gaussian_targets(keypoints, size, stride, sigma) for sigma in sigmas]
    coarse = sum(
        (
            coarse_loss(heatmaps, target, visibility)
            for heatmaps, target in zip(outputs[:-1], targets[:-1], strict=True)
        ),
        start=outputs[0].new_zeros(()),
    )
    return coarse_weight * coarse + finest_loss(outputs[-1], targets[-1], visibility, ohkm)

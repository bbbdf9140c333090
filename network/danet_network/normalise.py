"""Pixels to network input, as a module, so that exported graphs take camera pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from danet.model_spec import ModelSpec


class Normalise(nn.Module):
    """(pixel - mean) / std and NHWC -> NCHW, with the statistics of a ModelSpec."""

    scale: Tensor
    shift: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        std = torch.tensor(spec.std, dtype=torch.float64)
        mean = torch.tensor(spec.mean, dtype=torch.float64)
        self.register_buffer("scale", (1 / std).float().view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).float().view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, H, W, 3) uint8 BGR -> (N, 3, H, W) float32."""
        return images.permute(0, 3, 1, 2).to(self.scale.dtype) * self.scale + self.shift

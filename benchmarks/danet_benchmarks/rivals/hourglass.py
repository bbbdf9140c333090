"""Stacked Hourglass: eight encoder-decoders in a row, each fed with the heatmaps of the one before.

Sources: Newell et al., "Stacked Hourglass Networks for Human Pose Estimation", 2016;
princeton-vl/pose-hg-train, src/models/hg.lua; bearpaw/pytorch-pose, pose/models/hourglass.py.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from danet_benchmarks.rivals.resnet import conv_norm
from danet_network.layers import preactivated

WIDTH = 256
LEVELS = 4
"""Halvings of an hourglass."""


class PreActivatedResidual(nn.Module):
    """BN, ReLU and convolution three times (1x1, 3x3, 1x1; the first two on half the channels), and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        half = channels_out // 2
        self.body = nn.Sequential(
            preactivated(channels_in, nn.Conv2d(channels_in, half, 1)),
            preactivated(half, nn.Conv2d(half, half, 3, padding=1)),
            preactivated(half, nn.Conv2d(half, channels_out, 1)),
        )
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        result: Tensor = self.body(features) + self.shortcut(features)
        return result


class Hourglass(nn.Module):
    """One encoder-decoder: a branch at this scale, and at half of it the next smaller hourglass."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.beside = PreActivatedResidual(WIDTH, WIDTH)
        self.down = PreActivatedResidual(WIDTH, WIDTH)
        self.inner = Hourglass(levels - 1) if levels > 1 else PreActivatedResidual(WIDTH, WIDTH)
        self.up = PreActivatedResidual(WIDTH, WIDTH)

    def forward(self, features: Tensor) -> Tensor:
        """(N, 256, H, W) -> the same shape. H and W: multiples of 2^levels."""
        small = self.up(self.inner(self.down(functional.max_pool2d(features, 2))))
        result: Tensor = self.beside(features) + functional.interpolate(small, scale_factor=2, mode="nearest")
        return result


class Stage(nn.Module):
    """An hourglass, its heatmaps, and what the next one is given."""

    def __init__(self, keypoints: int, last: bool) -> None:
        super().__init__()
        self.hourglass = nn.Sequential(Hourglass(LEVELS), PreActivatedResidual(WIDTH, WIDTH), conv_norm(WIDTH, WIDTH))
        self.predict = nn.Conv2d(WIDTH, keypoints, 1)
        self.from_features = None if last else nn.Conv2d(WIDTH, WIDTH, 1)
        self.from_heatmaps = None if last else nn.Conv2d(keypoints, WIDTH, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, 256, H, W) -> the next stage's input of that shape, or the last stage's heatmaps (N, K, H, W)."""
        own = self.hourglass(features)
        heatmaps: Tensor = self.predict(own)
        if self.from_features is None or self.from_heatmaps is None:
            return heatmaps
        following: Tensor = features + self.from_features(own) + self.from_heatmaps(heatmaps)
        return following


class StackedHourglass(nn.Module):
    """Stem and stages."""

    def __init__(self, stages: int, keypoints: int = 17) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm(3, 64, 7, 2),
            PreActivatedResidual(64, 128),
            nn.MaxPool2d(2),
            PreActivatedResidual(128, 128),
            PreActivatedResidual(128, WIDTH),
        )
        self.stages = nn.Sequential(*(Stage(keypoints, number == stages - 1) for number in range(stages)))

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> heatmaps (N, K, H/4, W/4). H and W: multiples of 64."""
        heatmaps: Tensor = self.stages(self.stem(images))
        return heatmaps

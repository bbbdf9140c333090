"""SimpleBaseline: a ResNet and three deconvolutions.

Sources: Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking", 2018;
microsoft/human-pose-estimation.pytorch, lib/models/pose_resnet.py.
"""

from __future__ import annotations

from torch import Tensor, nn

from danet_benchmarks.rivals.resnet import ResNet

WIDTH = 256


class SimpleBaseline(nn.Module):
    """ResNet -> three 4x4 deconvolutions of stride 2 -> 1x1 convolution."""

    def __init__(self, depth: int, keypoints: int = 17) -> None:
        super().__init__()
        self.backbone = ResNet(depth)
        self.upsampling = nn.Sequential(
            *(_deconvolution(channels) for channels in (self.backbone.channels[-1], WIDTH, WIDTH))
        )
        self.predict = nn.Conv2d(WIDTH, keypoints, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> heatmaps (N, K, H/4, W/4)."""
        heatmaps: Tensor = self.predict(self.upsampling(self.backbone(images)[-1]))
        return heatmaps


def _deconvolution(channels: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(channels, WIDTH, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(WIDTH), nn.ReLU())

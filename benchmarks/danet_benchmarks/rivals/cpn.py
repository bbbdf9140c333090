"""Cascaded Pyramid Network: a feature pyramid (GlobalNet), refined and joined at its finest scale (RefineNet).

Sources: Chen et al., "Cascaded Pyramid Network for Multi-Person Pose Estimation", 2018;
chenyilun95/tf-cpn, models/COCO.res50.256x192.CPN/network.py. GlobalNet's own heatmaps serve training
alone, as in that code's test graph: they are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from danet_benchmarks.rivals.resnet import ResNet, bottleneck, conv_norm
from danet_network.layers import resize_to

WIDTH = 256
SQUEEZE = 2
"""RefineNet's bottlenecks go through 128 channels."""


class CascadedPyramidNetwork(nn.Module):
    """CPN on a ResNet."""

    def __init__(self, depth: int, keypoints: int = 17) -> None:
        super().__init__()
        self.backbone = ResNet(depth)
        self.laterals = nn.ModuleList(conv_norm(channels, WIDTH) for channels in self.backbone.channels)
        self.merges = nn.ModuleList(conv_norm(WIDTH, WIDTH, relu=False) for _ in range(3))
        self.refinements = nn.ModuleList(_refinement(scale) for scale in range(4))
        self.join = bottleneck(4 * WIDTH, WIDTH, squeeze=SQUEEZE)
        self.predict = nn.Sequential(nn.Conv2d(WIDTH, keypoints, 3, padding=1, bias=False), nn.BatchNorm2d(keypoints))

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """GlobalNet: images (N, 3, H, W) -> 256-channel features at strides 4, 8, 16 and 32."""
        laterals = [lateral(one) for lateral, one in zip(self.laterals, self.backbone(images), strict=True)]
        fused = [laterals[3]]
        for merge, lateral in zip(self.merges, laterals[2::-1], strict=True):
            fused.insert(0, lateral + merge(_resized(fused[0], lateral)))
        return fused

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> heatmaps (N, K, H/4, W/4)."""
        pyramid = self.pyramid(images)
        refined = [
            _resized(refine(features), pyramid[0]) for refine, features in zip(self.refinements, pyramid, strict=True)
        ]
        heatmaps: Tensor = self.predict(self.join(torch.cat(refined, 1)))
        return heatmaps


def _refinement(scale: int) -> nn.Sequential:
    """None at the finest scale, three bottlenecks at the coarsest."""
    return nn.Sequential(*(bottleneck(WIDTH, WIDTH, squeeze=SQUEEZE) for _ in range(scale)))


def _resized(features: Tensor, like: Tensor) -> Tensor:
    return resize_to(features, (like.shape[2], like.shape[3]))

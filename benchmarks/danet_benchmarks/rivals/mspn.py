"""One stage of the Multi-Stage Pose Network: a ResNet and a top-down path of 256 channels.

Sources: Li et al., "Rethinking on Multi-Stage Networks for Human Pose Estimation", 2019;
megvii-research/MSPN, exps/mspn.2xstg.coco/network.py. All three rows of Table II have one stage, see
registry.py. The heatmaps of the three coarse scales serve training alone: they are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from danet_benchmarks.rivals.resnet import ResNet, conv_norm
from danet_network.layers import resize_to

WIDTH = 256


class SingleStagePoseNetwork(nn.Module):
    """MSPN of one stage."""

    def __init__(self, depth: int, keypoints: int = 17) -> None:
        super().__init__()
        self.backbone = ResNet(depth)
        self.laterals = nn.ModuleList(conv_norm(channels, WIDTH, relu=False) for channels in self.backbone.channels)
        self.merges = nn.ModuleList(conv_norm(WIDTH, WIDTH, relu=False) for _ in range(3))
        self.predict = nn.Sequential(conv_norm(WIDTH, WIDTH), conv_norm(WIDTH, keypoints, 3, relu=False))

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> heatmaps (N, K, H/4, W/4)."""
        laterals = [lateral(one) for lateral, one in zip(self.laterals, self.backbone(images), strict=True)]
        features = torch.relu(laterals[3])
        for merge, lateral in zip(self.merges, laterals[2::-1], strict=True):
            upsampled = merge(resize_to(features, (lateral.shape[2], lateral.shape[3])))
            features = torch.relu(lateral + upsampled)
        heatmaps: Tensor = self.predict(features)
        return heatmaps

"""HRNet: parallel branches of four resolutions, fused again and again.

Sources: Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation", 2019;
leoxiaobin/deep-high-resolution-net.pytorch, lib/models/pose_hrnet.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from danet_benchmarks.rivals.resnet import basic_block, bottleneck, chain, conv_norm

STEM_CHANNELS = 64
FIRST_CHANNELS = 256
"""Of the first stage, which has one branch of bottlenecks."""


@dataclass(frozen=True)
class Layout:
    """What an HRNet is made of; the defaults are the published depth."""

    width: int
    """Channels of the finest branch; each coarser one has twice as many."""
    bottlenecks: int = 4
    """In the first stage."""
    modules: tuple[int, int, int] = (1, 4, 3)
    """In the stages of two, three and four branches."""
    blocks: tuple[int, int, int] = (4, 4, 4)
    """Residual blocks to a branch of a module, in these stages."""


W32 = Layout(32)
W16 = Layout(16, bottlenecks=2, modules=(1, 3, 3), blocks=(2, 4, 4))
"""Half the width; half the depth in the first two stages, three quarters in the third. The paper names no
layout; this one has its 6.9 M parameters and 1.9 GFLOPs (6.83 M, 1.94 x 2^30). Half the depth everywhere,
two blocks to a branch, has 1.87 x 2^30 but 4.3 M; both take the same time (46 and 47 ms of one core to a
person in OpenVINO)."""


class Module(nn.Module):
    """Residual blocks on each branch, then every output is the sum of all branches at its resolution."""

    def __init__(self, channels: Sequence[int], blocks: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(chain(basic_block, width, width, blocks) for width in channels)
        self.exchange = nn.ModuleList(
            nn.ModuleList(_path(channels, source, target) for source in range(len(channels)))
            for target in range(outputs)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """(N, C 2^i, H / 2^i, W / 2^i) for each branch i, finest first -> the same for each output."""
        refined = [branch(one) for branch, one in zip(self.branches, features, strict=True)]
        outputs = []
        for paths in self.exchange:
            assert isinstance(paths, nn.ModuleList)
            moved = [path(one) for path, one in zip(paths, refined, strict=True)]
            outputs.append(torch.relu(reduce(torch.add, moved)))
        return outputs


def _path(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """From one branch to another's resolution: 1x1 and nearest upsampling, or 3x3 convolutions of stride 2."""
    if source == target:
        return nn.Identity()
    if source > target:
        convolution = conv_norm(channels[source], channels[target], relu=False)
        return nn.Sequential(convolution, nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"))
    halvings = [conv_norm(channels[source], channels[source], 3, 2) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, conv_norm(channels[source], channels[target], 3, 2, relu=False))


class HighResolutionNet(nn.Module):
    """Stem, a stage of one branch, and stages of two, three and four."""

    def __init__(self, layout: Layout, keypoints: int = 17) -> None:
        super().__init__()
        channels = [layout.width << branch for branch in range(4)]
        self.stem = nn.Sequential(conv_norm(3, STEM_CHANNELS, 3, 2), conv_norm(STEM_CHANNELS, STEM_CHANNELS, 3, 2))
        self.first = chain(bottleneck, STEM_CHANNELS, FIRST_CHANNELS, layout.bottlenecks)
        self.narrow = conv_norm(FIRST_CHANNELS, channels[0], 3)
        coarser = (FIRST_CHANNELS, *channels[1:3])
        self.descents = nn.ModuleList(
            conv_norm(above, below, 3, 2) for above, below in zip(coarser, channels[1:], strict=True)
        )
        self.stages = nn.ModuleList(
            _stage(channels[: branches + 2], layout.modules[branches], layout.blocks[branches], last=branches == 2)
            for branches in range(3)
        )
        self.predict = nn.Conv2d(channels[0], keypoints, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> heatmaps (N, K, H/4, W/4). H and W: multiples of 32."""
        wide = self.first(self.stem(images))
        features = [self.narrow(wide), self.descents[0](wide)]
        for number, stage in enumerate(self.stages):
            if number:
                features.append(self.descents[number](features[-1]))
            features = stage(features)
        heatmaps: Tensor = self.predict(features[0])
        return heatmaps


def _stage(channels: Sequence[int], modules: int, blocks: int, last: bool) -> nn.Sequential:
    """Modules in a row; the very last one of the network gives the finest branch alone."""
    outputs = [len(channels)] * (modules - 1) + [1 if last else len(channels)]
    return nn.Sequential(*(Module(channels, blocks, count) for count in outputs))

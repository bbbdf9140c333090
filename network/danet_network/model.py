"""DANet: a feature pyramid of orthogonal blocks, fused bottom-up by second-order fusion units."""

from __future__ import annotations

from torch import Tensor, nn

from danet_network.config import DANetConfig
from danet_network.layers import (
    OrthogonalLayer,
    PlainSum,
    Regressor,
    SecondOrderFusion,
    conv1x1,
    preactivated,
    resize_to,
)

STEM_CHANNELS = 64
STRIDE = 4
"""Input pixels to a heatmap cell."""


def _stem(config: DANetConfig) -> nn.Sequential:
    """Stride 4: 7x7 convolution, then a second convolution (paper) or a max pool (zoo)."""
    zoo = config.preset == "zoo"
    first = [nn.Conv2d(3, STEM_CHANNELS, 7, 2, 3, bias=zoo), nn.BatchNorm2d(STEM_CHANNELS), nn.ReLU()]
    if zoo:
        return nn.Sequential(*first, nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(*first, nn.Conv2d(STEM_CHANNELS, STEM_CHANNELS, 3, 2, 1, bias=False))


class Stage(nn.Module):
    """An orthogonal block and its transition."""

    def __init__(self, config: DANetConfig, channels: int, layers: int, transition: int) -> None:
        super().__init__()
        grown = [channels + index * config.growth for index in range(layers + 1)]
        self.layers = nn.Sequential(*(OrthogonalLayer(config, width) for width in grown[:-1]))
        self.transition = preactivated(grown[-1], conv1x1(grown[-1], transition, config.preset == "zoo"))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, transition, H, W)."""
        compressed: Tensor = self.transition(self.layers(features))
        return compressed


class DANet(nn.Module):
    """The whole network.

    Scales are indexed from coarse (0) to fine (3). `forward` gives what deployment needs, the
    finest heatmaps; `forward_all` the four that training supervises.
    """

    def __init__(self, config: DANetConfig) -> None:
        super().__init__()
        self.config = config
        zoo = config.preset == "zoo"
        width = config.decoder_width
        self.stem = _stem(config)
        inputs = (STEM_CHANNELS, *config.transitions[:-1])
        self.stages = nn.ModuleList(
            Stage(config, channels, layers, transition)
            for channels, layers, transition in zip(inputs, config.layers, config.transitions, strict=True)
        )
        self.pool = nn.MaxPool2d(2, 2) if zoo else nn.MaxPool2d(3, 2, 1)
        self.laterals = nn.ModuleList(
            preactivated(channels, conv1x1(channels, width, zoo)) for channels in reversed(config.transitions)
        )
        self.upsamplers = nn.ModuleList(
            preactivated(width, nn.ConvTranspose2d(width, width, 4, 2, 1, bias=zoo)) for _ in range(3)
        )
        self.fusions = nn.ModuleList(
            SecondOrderFusion(width, zoo) if config.fusion == "sfu" else PlainSum() for _ in range(3)
        )
        self.regressors = nn.ModuleList(Regressor(width, config.keypoints, zoo) for _ in range(4))

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Top-down path: images (N, 3, H, W) -> features at strides 32, 16, 8, 4 (coarse first)."""
        features = self.stem(images)
        outputs: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            features = stage(self.pool(features) if index else features)
            outputs.insert(0, features)
        return outputs

    def fused(self, images: Tensor) -> list[Tensor]:
        """Both paths: images (N, 3, H, W) -> D-channel features at strides 32, 16, 8, 4."""
        pyramid = self.pyramid(images)
        fused = [self.laterals[0](pyramid[0])]
        for scale in range(1, 4):
            lateral = self.laterals[scale](pyramid[scale])
            fused.append(self.fusions[scale - 1](lateral, self.upsamplers[scale - 1](fused[-1])))
        return fused

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> finest heatmaps (N, K, H/4, W/4). H and W: multiples of 32."""
        heatmaps: Tensor = self.regressors[3](self.fused(images)[3])
        return heatmaps

    def forward_all(self, images: Tensor) -> list[Tensor]:
        """Heatmaps of the four scales, coarse first, all resized to (N, K, H/4, W/4)."""
        size = (images.shape[2] // STRIDE, images.shape[3] // STRIDE)
        heatmaps = [regress(features) for regress, features in zip(self.regressors, self.fused(images), strict=True)]
        return [*(resize_to(coarse, size) for coarse in heatmaps[:-1]), heatmaps[-1]]

"""ResNet without its classifier, the backbone of most rivals.

Sources: He et al., "Deep Residual Learning for Image Recognition", 2016; torchvision's `resnet18`,
`resnet34` and `resnet50`, where a bottleneck's stride lies in its 3x3 convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

STEM_CHANNELS = 64
STRIDES = (1, 2, 2, 2)
"""Of the first block of each stage, finest stage first."""


def conv_norm(channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1, *, relu: bool = True) -> nn.Module:
    """Convolution -> BN (-> ReLU), padded so that only the stride changes the size."""
    convolution = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
    layers = [convolution, nn.BatchNorm2d(channels_out)]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class Residual(nn.Module):
    """relu(body(x) + x), with a 1x1 convolution beside a body that changes the shape."""

    def __init__(self, body: nn.Module, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        same = channels_in == channels_out and stride == 1
        self.body = body
        self.shortcut = nn.Identity() if same else conv_norm(channels_in, channels_out, 1, stride, relu=False)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H / stride, W / stride)."""
        return torch.relu(self.body(features) + self.shortcut(features))


def basic_block(channels_in: int, channels_out: int, stride: int = 1) -> Residual:
    """Two 3x3 convolutions."""
    first = conv_norm(channels_in, channels_out, 3, stride)
    second = conv_norm(channels_out, channels_out, 3, relu=False)
    return Residual(nn.Sequential(first, second), channels_in, channels_out, stride)


def bottleneck(channels_in: int, channels_out: int, stride: int = 1, squeeze: int = 4) -> Residual:
    """1x1, 3x3 and 1x1 convolutions, the middle one on `channels_out / squeeze` channels."""
    width = channels_out // squeeze
    body = nn.Sequential(
        conv_norm(channels_in, width),
        conv_norm(width, width, 3, stride),
        conv_norm(width, channels_out, relu=False),
    )
    return Residual(body, channels_in, channels_out, stride)


Block = Callable[[int, int, int], Residual]
"""A residual block of (channels in, channels out, stride)."""


def chain(block: Block, channels_in: int, channels_out: int, blocks: int, stride: int = 1) -> nn.Sequential:
    """Blocks in a row, of which the first changes channels and size."""
    rest = (block(channels_out, channels_out, 1) for _ in range(blocks - 1))
    return nn.Sequential(block(channels_in, channels_out, stride), *rest)


@dataclass(frozen=True)
class Layout:
    """What a ResNet of some depth is made of."""

    block: Block
    channels: tuple[int, int, int, int]
    """Of the four stages' features, finest first."""
    blocks: tuple[int, int, int, int]


LAYOUTS = {
    18: Layout(basic_block, (64, 128, 256, 512), (2, 2, 2, 2)),
    34: Layout(basic_block, (64, 128, 256, 512), (3, 4, 6, 3)),
    50: Layout(bottleneck, (256, 512, 1024, 2048), (3, 4, 6, 3)),
}
"""By depth."""


class ResNet(nn.Module):
    """The features of a ResNet's four stages."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        layout = LAYOUTS[depth]
        self.channels = layout.channels
        self.stem = nn.Sequential(conv_norm(3, STEM_CHANNELS, 7, 2), nn.MaxPool2d(3, 2, 1))
        inputs = (STEM_CHANNELS, *layout.channels[:-1])
        self.stages = nn.ModuleList(
            chain(layout.block, *shape) for shape in zip(inputs, layout.channels, layout.blocks, STRIDES, strict=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (N, 3, H, W) -> features at strides 4, 8, 16 and 32."""
        outputs = []
        features = self.stem(images)
        for stage in self.stages:
            features = stage(features)
            outputs.append(features)
        return outputs

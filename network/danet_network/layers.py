"""The building blocks of DANet: attentions, orthogonal layer, second-order fusion, regressor.

Equations: "Efficient Human Pose Estimation by Learning Deeply Aggregated Representations", section
III. Shape comments use N persons, C channels, H x W cells.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from danet_network.config import ChannelAttentionPlacement, DANetConfig, SpatialAttention

MASK_KERNEL = 9
"""Side of the depthwise convolutions that compute masks (paper, section III-B)."""


@cache
def _gpu_depthwise() -> Callable[[Tensor, Tensor, Tensor], Tensor] | None:
    """Triton comes with PyTorch's CUDA builds for Linux, and with no other; it needs a C compiler at its first use."""
    try:
        from danet_network.cuda_depthwise import depthwise9x9

        weight = torch.zeros(32, 1, MASK_KERNEL, MASK_KERNEL, device="cuda")
        depthwise9x9(torch.zeros(1, 32, 8, 8, device="cuda"), weight, weight[:, 0, 0, 0])
    except ImportError:
        return None
    except Exception as error:  # Triton's own kinds, and those of the compiler that it calls
        warnings.warn(f"Triton cannot be used ({error}): masks train at a quarter of the speed", stacklevel=2)
        return None
    return depthwise9x9


def preactivated(channels: int, convolution: nn.Module) -> nn.Sequential:
    """BN -> ReLU -> convolution, the form of every convolution behind the stem."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), convolution)


def conv1x1(channels_in: int, channels_out: int, bias: bool) -> nn.Conv2d:
    """A 1x1 convolution."""
    return nn.Conv2d(channels_in, channels_out, 1, bias=bias)


class MaskConv(nn.Conv2d):
    """The depthwise 9x9 convolution of a mask. Always biased: no BN follows that could shift it.

    Stays in float32 under CPU autocast: oneDNN's bfloat16 weight gradient of a depthwise 9x9 took
    45.9 ms where the float32 one took 12.8 ms (64 x 32 x 32 x 24, 2 threads, torch 2.13.0). On a GPU it
    is computed by `danet_network.cuda_depthwise`, where Triton is there.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, MASK_KERNEL, padding=MASK_KERNEL // 2, groups=channels)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if torch.is_autocast_enabled("cpu") and features.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                return super().forward(features.float()).to(features.dtype)
        on_gpu = _gpu_depthwise() if features.is_cuda else None
        if on_gpu is not None:
            assert self.bias is not None
            return on_gpu(features, self.weight, self.bias)
        return super().forward(features)


def global_average(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 1, 1)."""
    return features.mean((2, 3), keepdim=True)


class ChannelAttention(nn.Module):
    """Channel attention unit: one factor in (0, 1) for each channel, from the global average."""

    def __init__(self, channels: int, hidden: int, out_channels: int, bias: bool) -> None:
        super().__init__()
        self.squeeze = preactivated(channels, conv1x1(channels, hidden, bias))
        self.excite = preactivated(hidden, conv1x1(hidden, out_channels, True))

    def forward(self, mean: Tensor) -> Tensor:
        """Global average (N, C, 1, 1) -> factors (N, C', 1, 1)."""
        return torch.sigmoid(self.excite(self.squeeze(mean)))


class MaskAttention(nn.Module):
    """Mask attention unit: one factor for each cell of each new channel.

    m = sigmoid(|a|) in the paper; the zoo leaves the absolute value out.
    """

    def __init__(self, channels: int, growth: int, variant: SpatialAttention, absolute: bool, bias: bool) -> None:
        super().__init__()
        self.variant = variant
        self.absolute = absolute
        self.reduce = preactivated(channels, conv1x1(channels, growth, bias))
        self.spread = preactivated(growth, MaskConv(growth))

    def logits(self, features: Tensor) -> Tensor:
        """What the sigmoid is taken of: (N, C, H, W) -> (N, growth, H, W)."""
        response: Tensor = self.spread(self.reduce(features))
        return response.abs() if self.absolute else response

    def forward(self, features: Tensor, body: Tensor) -> Tensor:
        """Weigh the body's output (N, growth, H, W) by the mask of the layer's input."""
        logits = self.logits(features)
        if self.variant == "suppress":
            return body * torch.sigmoid(-logits)  # 1 - sigmoid(a) = sigmoid(-a)
        if self.variant == "gate":
            return body * torch.sigmoid(logits)
        return body * (1 + torch.sigmoid(logits))


class XUnit(nn.Module):
    """Learned spatial activation y * exp(-DW9x9(relu(bn(y)))^2) of Kligvasser et al., "xUnit", 2018."""

    def __init__(self, growth: int) -> None:
        super().__init__()
        self.spread = preactivated(growth, MaskConv(growth))
        self.norm = nn.BatchNorm2d(growth)

    def forward(self, features: Tensor, body: Tensor) -> Tensor:
        """(N, growth, H, W) -> the same shape; the layer's input is not used."""
        del features
        return body * torch.exp(-self.norm(self.spread(body)).square())


def _spatial_attention(config: DANetConfig, channels: int) -> MaskAttention | XUnit | None:
    if config.spatial_attention == "none":
        return None
    if config.spatial_attention == "xunit":
        return XUnit(config.growth)
    zoo = config.preset == "zoo"
    return MaskAttention(channels, config.growth, config.spatial_attention, absolute=not zoo, bias=zoo)


class OrthogonalLayer(nn.Module):
    """One orthogonal attention layer: appends `growth` channels to its input.

    The body sees the input through the channel attention, its output passes the mask; both
    attentions look at the unweighted input.
    """

    def __init__(self, config: DANetConfig, channels: int) -> None:
        super().__init__()
        bias = config.preset == "zoo"
        self.placement: ChannelAttentionPlacement = config.channel_attention
        scaled = {"input": channels, "bottleneck": config.bottleneck, "output": config.growth}
        self.channel_attention = (
            None
            if self.placement == "none"
            else ChannelAttention(channels, config.bottleneck, scaled[self.placement], bias)
        )
        self.spatial_attention = _spatial_attention(config, channels)
        self.reduce = preactivated(channels, conv1x1(channels, config.bottleneck, bias))
        self.expand = preactivated(
            config.bottleneck, nn.Conv2d(config.bottleneck, config.growth, 3, padding=1, bias=bias)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + growth, H, W)."""
        return torch.cat((features, self.appended(features, global_average(features))), 1)

    def appended(self, features: Tensor, mean: Tensor) -> Tensor:
        """The new channels (N, growth, H, W) of features (N, C, H, W) with global average (N, C, 1, 1)."""
        factors = torch.ones_like(mean[:, :1]) if self.channel_attention is None else self.channel_attention(mean)
        body = self.reduce(features * factors if self.placement == "input" else features)
        body = self.expand(body * factors if self.placement == "bottleneck" else body)
        if self.placement == "output":
            body = body * factors
        new: Tensor = body if self.spatial_attention is None else self.spatial_attention(features, body)
        return new


class SecondOrderFusion(nn.Module):
    """SFU of a lateral feature t and an upsampled feature b: l*t + (1-l)*b with a learned mask l."""

    def __init__(self, width: int, bias: bool) -> None:
        super().__init__()
        self.reduce = preactivated(2 * width, conv1x1(2 * width, width, bias))
        self.spread = preactivated(width, MaskConv(width))

    def forward(self, lateral: Tensor, upsampled: Tensor) -> Tensor:
        """Two (N, D, H, W) -> (N, D, H, W)."""
        share = torch.sigmoid(self.spread(self.reduce(torch.cat((lateral, upsampled), 1))))
        return upsampled + share * (lateral - upsampled)  # = share * lateral + (1 - share) * upsampled


class PlainSum(nn.Module):
    """The fusion of feature pyramid networks, for the ablation of Table VII."""

    def forward(self, lateral: Tensor, upsampled: Tensor) -> Tensor:
        """Two (N, D, H, W) -> (N, D, H, W)."""
        return lateral + upsampled


class Regressor(nn.Module):
    """Heatmaps of one scale: 1x1 (D -> D), then 3x3 (D -> K)."""

    def __init__(self, width: int, keypoints: int, bias: bool) -> None:
        super().__init__()
        self.mix = preactivated(width, conv1x1(width, width, bias))
        self.regress = preactivated(width, nn.Conv2d(width, keypoints, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        """(N, D, H, W) -> (N, K, H, W)."""
        heatmaps: Tensor = self.regress(self.mix(features))
        return heatmaps


def resize_to(heatmaps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of coarse heatmaps (N, K, h, w) to `size` (h, w), for supervision."""
    return functional.interpolate(heatmaps, size=size, mode="bilinear", align_corners=False)

"""Exact rewrites of DANet for inference: the same function with fewer and cheaper operations.

Each rewrite is an identity over the real numbers; tests/converters/test_simplify.py holds each one
against the original network in float64.

Two identities are already in the network's own forward pass (danet_network.layers):

- mask: 1 - sigmoid(a) = 1 / (1 + e^a) = sigmoid(-a), so y * (1 - sigmoid(|a|)) = y * sigmoid(-|a|);
- fusion: l*t + (1-l)*b = b + l*(t - b), one product instead of two.

The others are made here:

- `fold_norms`: a BN that follows a convolution, BN(Wx + b) = s*(Wx + b) + h with s = gamma /
  sqrt(var + eps) and h = beta - s*mean, is the convolution with weights s*W and bias s*b + h.
- `carry_means`: the mean over H x W of a concatenation is the concatenation of the means, so each
  layer averages only the channels that the one before appended, instead of all of them.
- `clamp_inputs`: relu(s*x + h) before a 1x1 convolution is s*max(x, -h/s) + h where s > 0 and
  s*min(x, -h/s) + h where s < 0 (for s < 0 the ReLU passes small x); s and h move into the
  convolution, W(s*c + h) = (W diag(s)) c + W h, which leaves a clamp c = min(max(x, low), high) for
  each channel. Where s = 0 the channel is the constant relu(h) and its weight column becomes 0.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from danet_network.layers import (
    ChannelAttention,
    MaskAttention,
    OrthogonalLayer,
    Regressor,
    SecondOrderFusion,
    XUnit,
    global_average,
)
from danet_network.model import DANet, Stage


@dataclass(frozen=True)
class Rewrites:
    """Which rewrites to make; all are exact, they differ in speed from one runtime to another."""

    fold_norms: bool = True
    carry_means: bool = True
    clamp_inputs: bool = False


def simplify(network: DANet, rewrites: Rewrites) -> DANet:
    """A copy of `network`, in eval mode and on the same device, with the chosen rewrites."""
    simple = copy.deepcopy(network).eval()  # BN folds in eval mode only
    if rewrites.fold_norms:
        _fold_norms(simple)
    if rewrites.clamp_inputs:
        _clamp_inputs(simple)
    if rewrites.carry_means:
        for stage in simple.stages:
            assert isinstance(stage, Stage)
            stage.layers = CarriedMeans(stage.layers)  # type: ignore[assignment]
    return simple.eval()  # what was put in is in train mode


def _fold_norms(network: DANet) -> None:
    _fold_into_conv(network.stem, 0, 1)
    for module in network.modules():
        if isinstance(module, OrthogonalLayer) and module.placement != "bottleneck":
            _fold_pair(module.reduce, module.expand)
        elif isinstance(module, ChannelAttention):
            _fold_pair(module.squeeze, module.excite)
        elif isinstance(module, MaskAttention | SecondOrderFusion):
            _fold_pair(module.reduce, module.spread)
        elif isinstance(module, Regressor):
            _fold_pair(module.mix, module.regress)
        elif isinstance(module, XUnit):
            module.spread[2] = _fused(module.spread[2], module.norm)
            module.norm = nn.Identity()  # type: ignore[assignment]


def _fold_into_conv(sequence: nn.Sequential, conv: int, norm: int) -> None:
    sequence[conv] = _fused(sequence[conv], sequence[norm])
    sequence[norm] = nn.Identity()


def _fold_pair(first: nn.Sequential, second: nn.Sequential) -> None:
    """Fold the BN that opens `second` into the convolution that closes `first`."""
    first[2] = _fused(first[2], second[0])
    second[0] = nn.Identity()


def _fused(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv, norm)


class CarriedMeans(nn.Module):
    """An orthogonal block that carries the global average of its growing features along."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + layers * growth, H, W)."""
        mean = global_average(features)
        for layer in self.layers:
            assert isinstance(layer, OrthogonalLayer)
            appended = layer.appended(features, mean)
            features = torch.cat((features, appended), 1)
            mean = torch.cat((mean, global_average(appended)), 1)
        return features


class ChannelClamp(nn.Module):
    """min(max(x, low), high) with bounds for each channel."""

    low: Tensor
    high: Tensor

    def __init__(self, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.register_buffer("low", low.view(1, -1, 1, 1))
        self.register_buffer("high", high.view(1, -1, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return torch.minimum(torch.maximum(features, self.low), self.high)


def _clamp_inputs(network: DANet) -> None:
    for module in network.modules():
        if isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[0], nn.BatchNorm2d):
            conv = module[2]
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (1, 1) and conv.groups == 1:
                module[0], module[2] = _clamped(module[0], conv)
                module[1] = nn.Identity()


def _clamped(norm: nn.BatchNorm2d, conv: nn.Conv2d) -> tuple[ChannelClamp, nn.Conv2d]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    shift = (norm.bias - scale * norm.running_mean).detach()
    live = scale != 0
    knee = torch.where(live, -shift / torch.where(live, scale, 1), 0)
    unbounded = torch.full_like(knee, torch.finfo(torch.float32).max)
    clamp = ChannelClamp(torch.where(scale > 0, knee, -unbounded), torch.where(scale < 0, knee, unbounded))
    constant = torch.where(live, shift, shift.clamp(min=0))
    weight = conv.weight.detach()
    moved = nn.Conv2d(conv.in_channels, conv.out_channels, 1, device=weight.device, dtype=weight.dtype)
    bias = torch.zeros_like(weight[:, 0, 0, 0]) if conv.bias is None else conv.bias.detach()
    with torch.no_grad():
        moved.weight.copy_(weight * scale.view(1, -1, 1, 1))
        assert moved.bias is not None
        moved.bias.copy_(bias + weight[:, :, 0, 0] @ constant)
    return clamp, moved

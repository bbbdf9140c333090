"""The form of DANet that XNNPACK, TFLite's CPU library, runs best: the same function in its fast operations.

Each replacement is an identity over the real numbers; tests/converters/test_tflite_form.py holds each
against the original in float64. Why each is made, with times: docs/tflite.md.

- A BN that no convolution precedes, s*x + h for each channel, is a depthwise 1x1 convolution with
  weights s and bias h: one operation, the ReLU behind it fused, instead of a product and a sum.
- A depthwise 9x9 convolution is the sum of four depthwise 5x5 convolutions, one for each quarter of
  the kernel (the upper left 5x5, and the 5x4, 4x5 and 4x4 that are left, filled up with zeros), each on
  an input that is padded by four cells on the two sides that its quarter looks to.
- A max pool with padding gives the same on an input padded with copies of its own border, where
  every window that reaches the padding holds the cell that was copied: so no infinities are needed.
- A 4x4 deconvolution of stride 2 and padding 1: output row 2i + r is a sum over the input rows i + r - 1
  and i + r alone, with the kernel rows 3 - r and 1 - r, and so for columns. That makes four 2x2
  convolutions, whose outputs are the four cells of a 2x2 block: depth to space.
- (pixel - mean) / std: the division moves into the weights of the first convolution. The subtraction
  stays, because the padding of that convolution stands for the mean colour.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from danet.model_spec import ModelSpec
from danet_network.layers import MASK_KERNEL, MaskConv
from danet_network.model import DANet

TILE = 5
"""Side of the largest depthwise kernel that XNNPACK has a kernel of its own for (25 taps)."""
REACH = MASK_KERNEL // 2
PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column in the 2x2 block of cells that an input cell is unfolded to."""


class TfliteNetwork(nn.Module):
    """What is exported: camera pixels in, heatmaps in TFLite's layout out.

    Args:
        network: normalised images (N, 3, H, W) -> heatmaps (N, K, H / stride, W / stride).
        spec: gives the normalisation.
    """

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network = tflite_form(network)
        inverse = 1 / torch.tensor(spec.std, dtype=torch.float64)
        mean = torch.tensor(spec.mean, dtype=torch.float64)
        dtype = next((parameter.dtype for parameter in network.parameters()), torch.float32)
        self.register_buffer("mean", mean.to(dtype))
        self.register_buffer("inverse_std", inverse.to(dtype))
        self.divides = not isinstance(self.network, DANet)
        if isinstance(self.network, DANet):
            _scale_inputs(self.network.stem[0], inverse)

    def forward(self, images: Tensor) -> Tensor:
        """Crops (N, H, W, 3) uint8 BGR -> heatmaps (N, H / stride, W / stride, K) float32."""
        pixels = images.to(self.mean.dtype) - self.mean
        if self.divides:
            pixels = pixels * self.inverse_std
        heatmaps: Tensor = self.network(pixels.permute(0, 3, 1, 2))
        return heatmaps.permute(0, 2, 3, 1)


class PlainNetwork(nn.Module):
    """The network as every other format gets it, its output in TFLite's layout: what the form is measured against."""

    def __init__(self, deployed: nn.Module) -> None:
        super().__init__()
        self.deployed = deployed

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 BGR -> (N, h, w, K) float32."""
        heatmaps: Tensor = self.deployed(images)
        return heatmaps.permute(0, 2, 3, 1)


def _scale_inputs(conv: nn.Module, scale: Tensor) -> None:
    assert isinstance(conv, nn.Conv2d)
    with torch.no_grad():
        conv.weight.mul_(scale.to(conv.weight.dtype).view(1, -1, 1, 1))


def tflite_form(network: nn.Module) -> nn.Module:
    """A copy of `network`, in eval mode, with every module replaced that XNNPACK runs slowly or not at all.

    BNs are replaced in a DANet alone, where those behind convolutions are folded; elsewhere the
    exporter folds them.
    """
    form = copy.deepcopy(network).eval()
    for parent in list(form.modules()):
        for name, child in parent.named_children():
            replace = _replacement(child, norms=isinstance(network, DANet))
            if replace is not None:
                setattr(parent, name, replace(child))
    return form.eval()


def _replacement(module: nn.Module, *, norms: bool) -> Callable[..., nn.Module] | None:
    if isinstance(module, nn.BatchNorm2d) and norms:
        return channel_affine
    if isinstance(module, MaskConv):
        return TiledDepthwise
    if isinstance(module, nn.MaxPool2d):
        return BorderMaxPool if (module.kernel_size, module.stride, module.padding) == (3, 2, 1) else None
    if isinstance(module, nn.ConvTranspose2d) and module.groups == 1:
        sides = (module.kernel_size, module.stride, module.padding, module.output_padding)
        return SubpixelUpsampler if sides == ((4, 4), (2, 2), (1, 1), (0, 0)) else None
    return None


def channel_affine(norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A BN in eval mode as a depthwise 1x1 convolution."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    conv = nn.Conv2d(norm.num_features, norm.num_features, 1, groups=norm.num_features).to(scale)
    with torch.no_grad():
        conv.weight.copy_(scale.view(-1, 1, 1, 1))
        assert conv.bias is not None
        conv.bias.copy_(norm.bias - scale * norm.running_mean)
    return conv


class TiledDepthwise(nn.Module):
    """A depthwise 9x9 convolution as the sum of four 5x5 ones on differently padded inputs."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        channels = conv.in_channels
        self.tiles = nn.ModuleList()
        weight = conv.weight.detach()
        for down in (False, True):
            for right in (False, True):
                tile = nn.Conv2d(channels, channels, TILE, groups=channels, bias=not (down or right)).to(weight)
                with torch.no_grad():
                    tile.weight.copy_(_quarter(weight, down, right))
                    if tile.bias is not None:
                        assert conv.bias is not None
                        tile.bias.copy_(conv.bias)
                self.tiles.append(tile)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        parts = [
            tile(padded(features, top=REACH - down, bottom=down, left=REACH - right, right=right))
            for tile, (down, right) in zip(
                self.tiles, [(down, right) for down in (0, REACH) for right in (0, REACH)], strict=True
            )
        ]
        total: Tensor = (parts[0] + parts[1]) + (parts[2] + parts[3])
        return total


def _quarter(weight: Tensor, down: bool, right: bool) -> Tensor:
    """Of a kernel (C, 1, 9, 9) one quarter as (C, 1, 5, 5); the middle row and column go to the upper and left ones."""
    quarter = weight[..., REACH if down else 0 :, REACH if right else 0 :][..., :TILE, :TILE].clone()
    if down:
        quarter[..., 0, :] = 0
    if right:
        quarter[..., :, 0] = 0
    return quarter


def padded(features: Tensor, *, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Zeros around (N, C, H, W), put there in TFLite's layout, so that the exporter leaves no transposition."""
    rows = functional.pad(features.permute(0, 2, 3, 1), (0, 0, left, right, top, bottom))
    return rows.permute(0, 3, 1, 2)


class BorderMaxPool(nn.Module):
    """A 3x3 max pool of stride 2 and padding 1 over an even number of cells, without padding by infinities."""

    def __init__(self, _: nn.MaxPool2d) -> None:
        super().__init__()

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H / 2, W / 2)."""
        # over even sides the last window ends at the border, so one side is enough
        features = torch.cat((_first(features, (features.shape[2], 1)), features), 2)
        features = torch.cat((_first(features, (1, features.shape[3])), features), 3)
        return functional.max_pool2d(features, 3, 2)


def _first(features: Tensor, stride: tuple[int, int]) -> Tensor:
    """The first row or column, by a depthwise 1x1 convolution that strides over all others.

    A slice says the same, but TFLite's stays as it is where the batch is resized.
    """
    channels = features.shape[1]
    return functional.conv2d(features, features.new_ones(channels, 1, 1, 1), stride=stride, groups=channels)


class SubpixelUpsampler(nn.Module):
    """A 4x4 deconvolution of stride 2 and padding 1 as four 2x2 convolutions, one for each cell of a 2x2 block."""

    def __init__(self, deconv: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.channels = deconv.out_channels
        weight = deconv.weight.detach()
        self.phases = nn.ModuleList()
        for row, column in PHASES:
            phase = nn.Conv2d(deconv.in_channels, self.channels, 2, bias=deconv.bias is not None).to(weight)
            with torch.no_grad():
                phase.weight.copy_(_phase_kernel(weight, row, column))
                if phase.bias is not None and deconv.bias is not None:
                    phase.bias.copy_(deconv.bias)
            self.phases.append(phase)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, 2 H, 2 W)."""
        count, _, height, width = features.shape
        cells = [
            phase(padded(features, top=1 - row, bottom=row, left=1 - column, right=column)).permute(0, 2, 3, 1)
            for phase, (row, column) in zip(self.phases, PHASES, strict=True)
        ]
        blocks = torch.cat(cells, 3).reshape(count, height, width, 2, 2, self.channels)
        unfolded = blocks.permute(0, 1, 3, 2, 4, 5).reshape(count, 2 * height, 2 * width, self.channels)
        return unfolded.permute(0, 3, 1, 2)


def _phase_kernel(weight: Tensor, row: int, column: int) -> Tensor:
    """Of a deconvolution's weights (C, D, 4, 4) the 2x2 convolution (D, C, 2, 2) that gives one cell of each block.

    Output cell y = 2 i + row gets kernel row k = y + 1 - 2 j from input cell j: 3 - row from j = i + row - 1 and
    1 - row from j = i + row.
    """
    return weight.permute(1, 0, 2, 3)[:, :, [3 - row, 1 - row]][..., [3 - column, 1 - column]]

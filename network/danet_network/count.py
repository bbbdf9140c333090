"""Parameters and FLOPs of a DANet, counted on shapes alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from danet_network.config import DANetConfig
from danet_network.model import DANet


@dataclass(frozen=True)
class Cost:
    """What a network costs to store and to run on one person."""

    parameters: int
    flops: int
    """Multiply-adds of the convolutions and deconvolutions, all four regressors included: the way
    of counting that reproduces the paper's Tables II and IV."""

    @property
    def gflops(self) -> float:
        """Multiply-adds in units of 1e9."""
        return self.flops / 1e9


def count(config: DANetConfig, input_size: tuple[int, int] = (256, 192)) -> Cost:
    """Cost of the network on a crop of `input_size` (height, width), multiples of 32.

    Runs on PyTorch's meta device, so no memory is touched and no arithmetic is done.
    """
    with torch.device("meta"):
        network = DANet(config).eval()
        images = torch.empty(1, 3, *input_size)
    flops: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda *call: flops.append(_multiply_adds(*call)))
    with torch.no_grad():
        network.forward_all(images)
    return Cost(sum(parameter.numel() for parameter in network.parameters()), sum(flops))


def _multiply_adds(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> int:
    """Of one call of a convolution for one person.

    Each output cell of a convolution, and each input cell of a deconvolution, meets one slice
    `weight[0]` of the weights (in/groups x kh x kw, and out/groups x kh x kw).
    """
    cells: Tensor = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
    weight = module.weight
    assert isinstance(weight, Tensor)
    return cells.numel() * weight[0].numel()

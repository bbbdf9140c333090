"""Parameters and FLOPs of a network, counted on shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
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
    """Multiply-adds of the convolutions and deconvolutions. With all four regressors this is the way
    of counting that reproduces the paper's Tables II and IV."""

    @property
    def gflops(self) -> float:
        """Multiply-adds in units of 1e9."""
        return self.flops / 1e9


@lru_cache(maxsize=64)  # of a config it is always the same, and takes a second
def count(config: DANetConfig, input_size: tuple[int, int] = (256, 192), *, deployed: bool = False) -> Cost:
    """Cost of the network on a crop of `input_size` (height, width), multiples of 32.

    Runs on PyTorch's meta device, so no memory is touched and no arithmetic is done.

    Args:
        config: the network.
        input_size: height and width of the crop.
        deployed: count what deployment executes: the finest regressor alone. The parameters stay all.
    """
    with torch.device("meta"):
        network = DANet(config)
    return count_network(network, input_size, network.forward if deployed else network.forward_all)


def count_network(
    network: nn.Module, input_size: tuple[int, int] = (256, 192), run: Callable[[Tensor], object] | None = None
) -> Cost:
    """Cost of any network whose work is in convolutions, deconvolutions and linear layers. See `count`.

    Args:
        network: on the meta device; put in eval mode.
        input_size: height and width of the images (1, 3, H, W) that it is run on.
        run: what to count; the network's forward pass if not given.
    """
    flops: list[int] = []
    for module in network.eval().modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.register_forward_hook(lambda *call: flops.append(_multiply_adds(*call)))
    with torch.no_grad():
        (run or network)(torch.empty(1, 3, *input_size, device="meta"))
    return Cost(sum(parameter.numel() for parameter in network.parameters()), sum(flops))


def _multiply_adds(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> int:
    """Of one call of a layer for one person.

    Each output cell of a convolution or a linear layer, and each input cell of a deconvolution, meets
    one slice `weight[0]` of the weights (in/groups x kh x kw, in, and out/groups x kh x kw).
    """
    cells: Tensor = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
    weight = module.weight
    assert isinstance(weight, Tensor)
    return cells.numel() * weight[0].numel()

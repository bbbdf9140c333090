"""The networks with random weights by name, with what the paper says of each: the rivals, and the larger DANets.

How Table II's figures come about, found by counting multiply-adds of convolutions and deconvolutions:

- GFLOPs are in units of 2^30 where the systems have public code (HRNet-W32 7.12, CPN 6.34, MSPN ResNet-50
  4.63), in 10^9 for MSPN ResNet-18 (2.46) and ResNet-34 (4.27).
- 8-stage Hourglass: 26.2 G is the cost of a 256x256 input (25.6 x 2^30); at 256x192 it is 19.2 x 2^30.
- SimpleBaseline ResNet-50: 8.9 G counts a deconvolution at its output cells (8.99 x 2^30), as HRNet's
  lib/utils/utils.py does; with stride 2 three of four such products are with zeros. 5.05 x 2^30 are done.
- MSPN ResNet-50: 4.7 G is one stage, and so are the other MSPN rows; the public code's two stages are
  56.9 M and 10.5 x 2^30. 95.5 "M" cannot be its parameters: there are 24.8 M (25.1 M with the heatmaps that
  serve training alone), which as float32 are 94.6 (95.9) MiB.
- HRNet-W16: see hrnet.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from danet.errors import InputError
from danet_benchmarks.rivals.cpn import CascadedPyramidNetwork
from danet_benchmarks.rivals.hourglass import StackedHourglass
from danet_benchmarks.rivals.hrnet import W16, W32, HighResolutionNet
from danet_benchmarks.rivals.mspn import SingleStagePoseNetwork
from danet_benchmarks.rivals.simple_baseline import SimpleBaseline
from danet_network.config import danet_config
from danet_network.layers import ChannelAttention
from danet_network.model import DANet

SEED = 0


@dataclass(frozen=True)
class Rival:
    """A system of the paper's Table II or Fig. 1; None where the paper states no figure."""

    name: str
    build: Callable[[], nn.Module]
    """The network: normalised images (N, 3, 256, 192) float32 -> heatmaps (N, 17, 64, 48) float32."""
    parameters_m: float | None
    """10^6 parameters, as printed."""
    gflops: float | None
    """As printed."""
    ap: float | None
    """COCO val2017, as a part of 1."""


def _danet(name: str) -> nn.Module:
    """A network of the paper's own, which nobody has trained here: a rival of the embedded DANet-72 in speed."""
    return DANet(danet_config(name))


RIVALS = {
    rival.name: rival
    for rival in (
        Rival("hourglass-8", partial(StackedHourglass, 8), 25.2, 26.2, 0.669),
        Rival("cpn-r50", partial(CascadedPyramidNetwork, 50), 27.0, 6.2, 0.686),
        Rival("simple-baseline-r50", partial(SimpleBaseline, 50), 34.0, 8.9, 0.704),
        Rival("simple-baseline-r18", partial(SimpleBaseline, 18), None, None, None),
        Rival("hrnet-w32", partial(HighResolutionNet, W32), 28.5, 7.1, 0.744),
        Rival("hrnet-w16", partial(HighResolutionNet, W16), 6.9, 1.9, 0.718),
        Rival("mspn-r18", partial(SingleStagePoseNetwork, 18), 11.7, 2.5, 0.708),
        Rival("mspn-r34", partial(SingleStagePoseNetwork, 34), 21.4, 4.2, 0.731),
        Rival("mspn-r50", partial(SingleStagePoseNetwork, 50), 95.5, 4.7, 0.733),
        Rival("danet88", partial(_danet, "danet88"), 5.3, 1.4, 0.719),
        Rival("danet98", partial(_danet, "danet98"), 5.7, 1.6, 0.728),
        Rival("danet102", partial(_danet, "danet102"), 5.8, 1.8, 0.734),
    )
}


def build_rival(name: str) -> nn.Module:
    """A rival in eval mode on the CPU; the same random weights each time.

    Normalised images (N, 3, 256, 192) float32 -> heatmaps (N, 17, 64, 48) float32.

    Raises:
        InputError: no rival of that name.
    """
    if name not in RIVALS:
        raise InputError(f"no rival named {name!r}; there are {', '.join(RIVALS)}")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        network = RIVALS[name].build()
        _settle(network)
    return network.eval()


def _settle(network: nn.Module) -> None:
    """Give each BN the statistics of noise that passes through, as training would.

    With the statistics of a new BN a deep network's activations grow or vanish layer by layer, and
    subnormal numbers take a CPU many times as long.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all passes, here one
    for attention in network.modules():
        if isinstance(attention, ChannelAttention):
            for norm in attention.modules():
                if isinstance(norm, nn.BatchNorm2d):
                    # global averages of noise hardly differ: scaled to their spread, a picture's would explode
                    norm.momentum = 0.0
    network.train()(torch.randn(2, 3, 256, 192))

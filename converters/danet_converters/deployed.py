"""A network as it is deployed: normalisation and graph in one module."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from danet.model_spec import ModelSpec
from danet_network.normalise import Normalise

Graph = TypeVar("Graph")


class DeployedNetwork(nn.Module):
    """What is exported: camera pixels in, heatmaps out.

    Args:
        network: normalised images (N, 3, H, W) -> heatmaps (N, K, H / stride, W / stride).
        spec: gives the normalisation.
    """

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.normalise = Normalise(spec)
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Crops (N, H, W, 3) uint8 BGR -> heatmaps (N, K, H / stride, W / stride) float32."""
        heatmaps: Tensor = self.network(self.normalise(images))
        return heatmaps


def made_once(make: Callable[[DeployedNetwork, ModelSpec], Graph]) -> Callable[[DeployedNetwork, ModelSpec], Graph]:
    """An exporter that keeps what it made while the network lives, and gives it out again.

    Tracing a network takes many times as long as writing the graph with other weights' types or another spec. The
    graph may depend on the network and what the spec says of its input alone, and neither may be changed afterwards.
    """
    made: WeakKeyDictionary[DeployedNetwork, dict[object, Graph]] = WeakKeyDictionary()

    @wraps(make)
    def known(network: DeployedNetwork, spec: ModelSpec) -> Graph:
        graphs = made.setdefault(network, {})
        images = spec.input_size, spec.mean, spec.std
        if images not in graphs:
            graphs[images] = make(network, spec)
        return graphs[images]

    return known

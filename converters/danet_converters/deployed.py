"""The network as it is deployed: normalisation and simplified graph in one module."""

from __future__ import annotations

from torch import Tensor, nn

from danet.model_spec import ModelSpec
from danet_converters.simplify import Rewrites, simplify
from danet_network.model import DANet
from danet_network.normalise import Normalise


class DeployedNetwork(nn.Module):
    """What is exported: camera pixels in, the finest heatmaps out."""

    def __init__(self, network: DANet, spec: ModelSpec, rewrites: Rewrites) -> None:
        super().__init__()
        self.normalise = Normalise(spec)
        self.network = simplify(network, rewrites)

    def forward(self, images: Tensor) -> Tensor:
        """Crops (N, H, W, 3) uint8 BGR -> heatmaps (N, K, H/4, W/4) float32."""
        heatmaps: Tensor = self.network(self.normalise(images))
        return heatmaps

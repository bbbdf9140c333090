"""A network as it is deployed: normalisation and graph in one module."""

from __future__ import annotations

from torch import Tensor, nn

from danet.model_spec import ModelSpec
from danet_network.normalise import Normalise


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

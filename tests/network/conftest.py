from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from danet_network.config import DANetConfig
from danet_network.model import DANet

MakeNetwork = Callable[..., DANet]


@pytest.fixture
def tiny_config() -> DANetConfig:
    """The whole graph with few channels."""
    return DANetConfig("tiny", "paper", (2, 1, 1, 1), (8, 10, 12, 14), decoder_width=6, growth=4, bottleneck=5)


@pytest.fixture(scope="session")
def make_network() -> MakeNetwork:
    """Networks in eval mode whose every tensor, BN statistics included, is random and tells."""

    def make(config: DANetConfig, seed: int = 0, dtype: Any = torch.float32) -> DANet:
        network = DANet(config).to(dtype).eval()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if name.endswith("running_var"):
                    tensor.uniform_(0.5, 2.0, generator=generator)
                elif tensor.is_floating_point():
                    tensor.normal_(0, tensor[0].numel() ** -0.5 if tensor.ndim == 4 else 0.5, generator=generator)
        return network

    return make

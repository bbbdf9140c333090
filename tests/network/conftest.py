from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from danet.model_spec import SPEC_KEY, DecoderSpec, ModelSpec
from danet_network.checkpoint import CONFIG_KEY
from danet_network.config import DANetConfig, danet_config
from danet_network.model import DANet

MakeNetwork = Callable[..., DANet]
Write = Callable[..., Path]

SPEC = ModelSpec("tiny", box_padding=1.3, decoder=DecoderSpec(heatmap_peak=2.0), licence="Apache-2.0")


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small run no faster on more, and much slower on a machine that is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


@pytest.fixture
def tiny(tiny_config: DANetConfig, make_network: Any) -> DANet:
    network: DANet = make_network(tiny_config)
    return network


@pytest.fixture(scope="session")
def danet72(make_network: Any) -> DANet:
    network: DANet = make_network(danet_config("danet72"))
    return network


@pytest.fixture
def write(tmp_path: Path, tiny: DANet) -> Write:
    """A checkpoint with changes: tensors to replace, to drop (None) or to add; its format by the suffix."""

    def make(
        suffix: str = ".pt",
        config: Any = None,
        spec: Any = None,
        **changes: Any,
    ) -> Path:
        tensors: dict[str, Any] = dict(tiny.state_dict())
        tensors |= {name.replace("__", "."): value for name, value in changes.items()}
        tensors = {name: value for name, value in tensors.items() if value is not None}
        config = tiny.config.to_dict() if config is None else config
        spec = SPEC.to_json() if spec is None else spec
        path = tmp_path / f"model{suffix}"
        if suffix == ".safetensors":
            config = config if isinstance(config, str) else json.dumps(config)
            save_file(tensors, path, {SPEC_KEY: spec, CONFIG_KEY: config})
        else:
            torch.save({"config": config, "spec": spec, "model": tensors}, path)
        return path

    return make

"""The form made for TFLite is the same function, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from danet.model_spec import ModelSpec
from danet_converters.simplify import Rewrites, simplify
from danet_converters.tflite_form import (
    BorderMaxPool,
    SubpixelUpsampler,
    TfliteNetwork,
    TiledDepthwise,
    channel_affine,
    tflite_form,
)
from danet_network.config import DANetConfig
from danet_network.layers import MaskConv
from danet_network.model import DANet
from danet_network.normalise import Normalise

EXACT = 1e-12
"""Relative; a slip in any weight is far above it."""
SWITCHES: dict[str, dict[str, str]] = {
    "paper": {},
    "zoo": {"preset": "zoo"},
    "gate": {"spatial_attention": "gate"},
    "xunit": {"spatial_attention": "xunit"},
    "bottleneck": {"channel_attention": "bottleneck"},
    "sum": {"fusion": "sum"},
}


@pytest.fixture
def features() -> Tensor:
    return torch.randn(2, 5, 14, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def config() -> DANetConfig:
    return DANetConfig("small", "paper", (2, 1, 1, 1), (12, 10, 8, 6), decoder_width=7, growth=4, bottleneck=8)


def relative_error(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    assert expected.std() > 1e-3  # a constant would agree with anything
    return float((found - expected).abs().max() / expected.abs().max())


@torch.no_grad()
@pytest.mark.parametrize("sides", [(14, 10), (8, 6), (4, 4), (3, 11)])
def test_depthwise_in_tiles(sides: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv, features = MaskConv(5).double(), torch.randn(2, 5, *sides, dtype=torch.float64)
    assert relative_error(TiledDepthwise(conv)(features), conv(features)) <= EXACT


@torch.no_grad()
def test_every_tap_of_the_kernel_is_in_one_tile() -> None:
    conv = MaskConv(1).double()
    conv.bias.zero_()  # type: ignore[union-attr]
    conv.weight.copy_(torch.arange(1.0, 82.0).view(1, 1, 9, 9))
    tiles = TiledDepthwise(conv).tiles
    taps = torch.cat([tile.weight.flatten() for tile in tiles])  # type: ignore[union-attr,operator]
    assert sorted(taps[taps != 0].tolist()) == list(range(1, 82))


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
def test_upsampler(bias: bool, features: Tensor) -> None:
    torch.manual_seed(1)
    deconv = nn.ConvTranspose2d(5, 7, 4, 2, 1, bias=bias).double()
    assert relative_error(SubpixelUpsampler(deconv)(features), deconv(features)) <= EXACT


@pytest.mark.parametrize("offset", [-9.0, 0.0])
def test_pool_of_values_below_zero_too(offset: float, features: Tensor) -> None:
    pool = nn.MaxPool2d(3, 2, 1)
    assert torch.equal(BorderMaxPool(pool)(features + offset), pool(features + offset))


@torch.no_grad()
def test_norm_as_depthwise(features: Tensor) -> None:
    torch.manual_seed(2)
    norm = nn.BatchNorm2d(5).double().eval()
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        tensor.normal_()  # type: ignore[union-attr]
    norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    assert relative_error(channel_affine(norm)(features), norm(features)) <= EXACT


@torch.no_grad()
@pytest.mark.parametrize("switches", SWITCHES)
def test_the_whole_network_with_its_normalisation(
    switches: str, config: DANetConfig, random_network: Callable[..., DANet]
) -> None:
    network = random_network(replace(config, **SWITCHES[switches]), seed=7, dtype=torch.float64, gain=2)  # type: ignore[arg-type]
    spec = ModelSpec("small", mean=(10.0, 120.0, 200.0), std=(30.0, 60.0, 90.0))
    images = torch.randint(0, 256, (2, 64, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    normalise = Normalise(spec).double()
    normalise.scale = 1 / torch.tensor(spec.std, dtype=torch.float64).view(1, 3, 1, 1)
    normalise.shift = -torch.tensor(spec.mean, dtype=torch.float64).view(1, 3, 1, 1) * normalise.scale
    expected = network(normalise(images))
    found = TfliteNetwork(simplify(network, Rewrites()), spec).eval()(images).permute(0, 3, 1, 2)
    assert relative_error(found, expected) <= EXACT


def test_nothing_slow_is_left(config: DANetConfig, random_network: Callable[..., DANet]) -> None:
    form = tflite_form(simplify(random_network(config), Rewrites()))
    for module in form.modules():
        assert not isinstance(module, nn.BatchNorm2d | nn.ConvTranspose2d | nn.MaxPool2d | MaskConv)
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            assert max(module.kernel_size) <= 5


@torch.no_grad()
def test_other_networks_keep_what_the_identities_do_not_cover() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.ConvTranspose2d(4, 4, 3, 2))
    network = nn.Sequential(*layers).double().eval()
    form = tflite_form(network)
    assert [type(module) for module in form.children()] == [type(module) for module in layers]
    images = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    assert torch.equal(form(images), network(images))


def test_the_original_is_unchanged(config: DANetConfig, random_network: Callable[..., DANet]) -> None:
    network = simplify(random_network(config), Rewrites())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    form = TfliteNetwork(network, ModelSpec("small"))
    with torch.no_grad():
        for tensor in form.state_dict().values():
            tensor.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from danet_converters import simplify as simplify_module
from danet_converters.simplify import ChannelClamp, Rewrites, simplify
from danet_network import layers as layers_module
from danet_network.config import DANetConfig
from danet_network.layers import MaskAttention, SecondOrderFusion
from danet_network.model import DANet

NONE = Rewrites(fold_norms=False, carry_means=False, clamp_inputs=False)
REWRITES = {
    "none": NONE,
    "fold": replace(NONE, fold_norms=True),
    "means": replace(NONE, carry_means=True),
    "clamp": replace(NONE, clamp_inputs=True),
    "all": Rewrites(True, True, True),
    "exported": Rewrites(),
}
SWITCHES: dict[str, dict[str, Any]] = {
    "paper": {},
    "zoo": {"preset": "zoo"},
    **{f"channel-{place}": {"channel_attention": place} for place in ("bottleneck", "output", "none")},
    **{f"spatial-{kind}": {"spatial_attention": kind} for kind in ("gate", "amplify", "xunit", "none")},
    "zoo-gate": {"preset": "zoo", "spatial_attention": "gate"},
    "zoo-bottleneck": {"preset": "zoo", "channel_attention": "bottleneck"},
    "xunit-bottleneck": {"spatial_attention": "xunit", "channel_attention": "bottleneck"},
    "sum": {"fusion": "sum"},
    "growth-64": {"growth": 64},
    "no-unit": {"channel_attention": "none", "spatial_attention": "none", "fusion": "sum", "growth": 64},
}


@pytest.fixture(scope="module")
def config() -> DANetConfig:
    return DANetConfig("small", "paper", (2, 1, 1, 1), (12, 10, 8, 6), decoder_width=7, growth=4, bottleneck=8)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 3, 32, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def answers(network: DANet, images: Tensor) -> list[Tensor]:
    """What deployment uses, and the heatmaps of all scales, whose regressors are rewritten as well."""
    with torch.no_grad():
        return [network(images), *network.forward_all(images)]


def relative_error(found: list[Tensor], expected: list[Tensor]) -> float:
    return max(
        float((left - right).abs().max() / right.abs().max()) for left, right in zip(found, expected, strict=True)
    )


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


# The rewrites compute the same function


@pytest.fixture(scope="module")
def made(
    config: DANetConfig, images: Tensor, random_network: Callable[..., DANet]
) -> Callable[[str], tuple[DANet, list[Tensor]]]:
    """The network of some switches and what it answers; `simplify` leaves it as it is (a test further down)."""

    @cache
    def make(switches: str) -> tuple[DANet, list[Tensor]]:
        network = random_network(replace(config, **SWITCHES[switches]), seed=7, dtype=torch.float64, gain=2)
        return network, answers(network, images)

    return make


@pytest.mark.parametrize(
    ("switches", "rewrite"),
    [
        # one rewrite alone touches each preset's layers in the same way, whatever the other switches
        pytest.param(
            switches,
            rewrite,
            marks=[] if rewrite in ("all", "exported") or switches in ("paper", "zoo") else pytest.mark.long,
        )
        for switches in SWITCHES
        for rewrite in REWRITES
    ],
)
def test_the_same_function(
    switches: str, rewrite: str, images: Tensor, made: Callable[[str], tuple[DANet, list[Tensor]]]
) -> None:
    network, expected = made(switches)
    found = answers(simplify(network, REWRITES[rewrite]), images)
    assert all(heatmaps.std() > 1e-3 for heatmaps in expected)  # a constant would agree with anything
    assert relative_error(found, expected) <= 1e-12


def test_the_measure_sees_every_norm(config: DANetConfig, images: Tensor, random_network: Callable[..., DANet]) -> None:
    # a rewrite that forgot any one BN would be far above the error that the test above allows
    network = random_network(config, seed=7, dtype=torch.float64, gain=2)
    expected = answers(network, images)
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            kept = copy.deepcopy(module.state_dict())
            module.reset_running_stats()
            module.reset_parameters()
            assert relative_error(answers(network, images), expected) > 1e-9, name
            module.load_state_dict(kept)
    assert relative_error(answers(network, images), expected) == 0


def test_random_networks_have_scales_of_all_signs(config: DANetConfig, random_network: Callable[..., DANet]) -> None:
    network = random_network(config, seed=7, dtype=torch.float64, gain=2)
    scales = torch.cat([module.weight for module in network.modules() if isinstance(module, nn.BatchNorm2d)])
    assert (scales < 0).sum() > 20
    assert (scales == 0).sum() > 20
    assert (scales > 0).sum() > 20


@pytest.mark.parametrize("value", [0.0, 1.5, -1.5])
@pytest.mark.parametrize("shift", [-0.7, 0.0, 0.7])
def test_clamp_of_scales_that_are_all_of_one_sign(
    value: float, shift: float, config: DANetConfig, images: Tensor, random_network: Callable[..., DANet]
) -> None:
    network = random_network(config, seed=2, dtype=torch.float64)
    with torch.no_grad():
        for stage in network.stages:
            stage.transition[0].weight.fill_(value)
            stage.transition[0].bias.fill_(shift)
        expected = network.pyramid(images)
        found = simplify(network, REWRITES["clamp"]).pyramid(images)
    for left, right in zip(found, expected, strict=True):
        assert right.abs().max() > 0 or shift <= 0
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rewrite", REWRITES)
def test_the_original_is_unchanged(
    rewrite: str, config: DANetConfig, images: Tensor, random_network: Callable[..., DANet]
) -> None:
    network = random_network(config, seed=7, dtype=torch.float64, gain=2)
    modules = [(name, type(module)) for name, module in network.named_modules()]
    state = copy.deepcopy(network.state_dict())
    network.train()
    simple = simplify(network, REWRITES[rewrite])
    assert network.training
    assert not any(module.training for module in simple.modules())
    with torch.no_grad():
        for tensor in simple.state_dict().values():
            tensor.zero_()  # a tensor that both networks held would show
    assert [(name, type(module)) for name, module in network.named_modules()] == modules
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[name]), name


# Each rewrite removes what it says


def expected_norms(config: DANetConfig) -> tuple[int, int]:
    """BNs of the default paper network, and how many of them follow a convolution directly.

    By hand: the stem's follows one. A layer has six, of which those of `excite`, `spread` and
    `expand` follow the 1x1 convolution of the same branch. A transition, a lateral and an upsampler
    have one each, after a pool, a concatenation or a branching. A fusion and a regressor have two,
    the second of which follows a 1x1 convolution.
    """
    layers = sum(config.layers)
    return 1 + 6 * layers + 4 + 4 + 3 + 2 * 3 + 2 * 4, 1 + 3 * layers + 3 + 4


def test_fold_norms_leaves_only_norms_that_follow_no_convolution(
    config: DANetConfig, random_network: Callable[..., DANet]
) -> None:
    network = random_network(config)
    total, foldable = expected_norms(config)
    assert norms(network) == total
    assert norms(simplify(network, REWRITES["fold"])) == total - foldable
    assert norms(simplify(network, REWRITES["means"])) == total


def test_fold_norms_keeps_a_norm_behind_the_attention_of_the_bottleneck(
    config: DANetConfig, random_network: Callable[..., DANet]
) -> None:
    # there the factors lie between the convolution and the BN of `expand`
    network = random_network(replace(config, channel_attention="bottleneck"))
    total, foldable = expected_norms(config)
    assert norms(simplify(network, REWRITES["fold"])) == total - foldable + sum(config.layers)


def test_clamp_inputs_leaves_norms_only_before_other_convolutions(
    config: DANetConfig, random_network: Callable[..., DANet]
) -> None:
    simple = simplify(random_network(config), REWRITES["all"])
    kinds = Counter(type(module).__name__ for module in simple.modules())
    # by hand: the three upsamplers' BNs stay; clamps stand before the 1x1 convolutions whose BN was not folded
    assert kinds["BatchNorm2d"] == 3
    assert kinds["ChannelClamp"] == 3 * sum(config.layers) + 4 + 4 + 3 + 4
    for sequence in simple.modules():
        if isinstance(sequence, nn.Sequential) and len(sequence) == 3 and isinstance(sequence[0], ChannelClamp):
            assert not any(isinstance(module, nn.ReLU) for module in sequence)


@pytest.fixture
def averaged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Channels of each tensor that is averaged over its cells, in order."""
    seen: list[int] = []

    def recording(features: Tensor) -> Tensor:
        seen.append(features.shape[1])
        return features.mean((2, 3), keepdim=True)

    monkeypatch.setattr(simplify_module, "global_average", recording)
    monkeypatch.setattr(layers_module, "global_average", recording)
    return seen


def test_carry_means_averages_only_what_was_appended(
    averaged: list[int], config: DANetConfig, random_network: Callable[..., DANet]
) -> None:
    network = random_network(replace(config, layers=(3, 1, 2, 1)))
    images = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        network(images)
        whole = [64, 68, 72, 12, 10, 14, 8]
        assert averaged == whole
        averaged.clear()
        simplify(network, REWRITES["means"])(images)
    # each stage: its input once, then 4 channels of growth for each layer (the last layer's mean is cut as dead code)
    assert averaged == [64, 4, 4, 4, 12, 4, 10, 4, 4, 8, 4]


# The identities of the network's own forward pass


def inputs_of(module: nn.Module) -> tuple[list[Tensor], RemovableHandle]:
    seen: list[Tensor] = []
    return seen, module.register_forward_hook(lambda _, __, output: seen.append(output.detach()))


@pytest.fixture
def features() -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(4)
    return lambda *shape: 3 * torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("variant", ["suppress", "gate", "amplify"])
def test_mask_identity(variant: Any, absolute: bool, features: Callable[..., Tensor]) -> None:
    mask = MaskAttention(6, 4, variant, absolute=absolute, bias=True).double().eval()
    layer_input, body = features(2, 6, 12, 10), features(2, 4, 12, 10)
    responses, handle = inputs_of(mask.spread)
    with torch.no_grad():
        found = mask(layer_input, body)
    handle.remove()
    a = responses[0].abs() if absolute else responses[0]
    m = 1 / (1 + torch.exp(-a))
    expected = {"suppress": body * (1 - m), "gate": body * m, "amplify": body * (1 + m)}[variant]
    assert a.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_fusion_identity(features: Callable[..., Tensor]) -> None:
    unit = SecondOrderFusion(5, bias=False).double().eval()
    lateral, upsampled = features(2, 5, 12, 10), features(2, 5, 12, 10)
    responses, handle = inputs_of(unit.spread)
    with torch.no_grad():
        found = unit(lateral, upsampled)
    handle.remove()
    share = 1 / (1 + torch.exp(-responses[0]))
    assert share.std() > 0.01
    torch.testing.assert_close(found, share * lateral + (1 - share) * upsampled, rtol=1e-12, atol=1e-14)

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from danet_network.config import DANetConfig
from danet_network.layers import OrthogonalLayer, PlainSum, SecondOrderFusion

Tensors = dict[str, Tensor]


# The paper's equations, on plain tensors in float64.


def bn_relu(features: Tensor, tensors: Tensors, name: str) -> Tensor:
    mean, var, weight, bias = (
        tensors[f"{name}.{leaf}"][:, None, None] for leaf in ("running_mean", "running_var", "weight", "bias")
    )
    return ((features - mean) / (var + 1e-5).sqrt() * weight + bias).clamp(min=0)


def unit(features: Tensor, tensors: Tensors, name: str, **options: Any) -> Tensor:
    """BN -> ReLU -> convolution."""
    weight, bias = tensors[f"{name}.2.weight"], tensors.get(f"{name}.2.bias")
    return functional.conv2d(bn_relu(features, tensors, f"{name}.0"), weight, bias, **options)


def mask_logits(features: Tensor, tensors: Tensors, name: str, channels: int) -> Tensor:
    return unit(unit(features, tensors, f"{name}.reduce"), tensors, f"{name}.spread", padding=4, groups=channels)


def sigmoid(values: Tensor) -> Tensor:
    return 1 / (1 + (-values).exp())


def new_channels(features: Tensor, tensors: Tensors, config: DANetConfig, name: str = "") -> Tensor:
    """What an orthogonal layer appends."""
    place, variant = config.channel_attention, config.spatial_attention
    factor: Tensor = torch.ones(1, dtype=torch.float64)
    if place != "none":
        mean = features.mean(3, keepdim=True).mean(2, keepdim=True)
        squeezed = unit(mean, tensors, f"{name}channel_attention.squeeze")
        factor = sigmoid(unit(squeezed, tensors, f"{name}channel_attention.excite"))
    body = unit(features * factor if place == "input" else features, tensors, f"{name}reduce")
    body = unit(body * factor if place == "bottleneck" else body, tensors, f"{name}expand", padding=1)
    body = body * factor if place == "output" else body
    if variant == "none":
        return body
    mask_name = f"{name}spatial_attention"
    if variant == "xunit":
        spread = unit(body, tensors, f"{mask_name}.spread", padding=4, groups=config.growth)
        mean, var, weight, bias = (
            tensors[f"{mask_name}.norm.{leaf}"][:, None, None]
            for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        normed = (spread - mean) / (var + 1e-5).sqrt() * weight + bias
        return body * (-(normed**2)).exp()
    logits = mask_logits(features, tensors, mask_name, config.growth)
    mask = sigmoid(logits if config.preset == "zoo" else logits.abs())
    return {"suppress": body * (1 - mask), "gate": body * mask, "amplify": body * (1 + mask)}[variant]


def fuse(lateral: Tensor, upsampled: Tensor, tensors: Tensors, name: str = "") -> Tensor:
    both = unit(torch.cat((lateral, upsampled), 1), tensors, f"{name}reduce")
    share = sigmoid(unit(both, tensors, f"{name}spread", padding=4, groups=lateral.shape[1]))
    return share * lateral + (1 - share) * upsampled


def paper_forward(images: Tensor, tensors: Tensors, config: DANetConfig) -> list[Tensor]:
    """The whole network of preset "paper": heatmaps of the four scales at their own size, coarse first."""
    first = functional.conv2d(images, tensors["stem.0.weight"], stride=2, padding=3)
    features = functional.conv2d(bn_relu(first, tensors, "stem.1"), tensors["stem.3.weight"], stride=2, padding=1)
    pyramid = []
    for stage, layers in enumerate(config.layers):
        if stage:
            features = functional.max_pool2d(features, 3, 2, 1)
        for layer in range(layers):
            appended = new_channels(features, tensors, config, f"stages.{stage}.layers.{layer}.")
            features = torch.cat((features, appended), 1)
        features = unit(features, tensors, f"stages.{stage}.transition")
        pyramid.append(features)
    fused: Tensor | None = None
    heatmaps = []
    for scale, feature in enumerate(reversed(pyramid)):
        lateral = unit(feature, tensors, f"laterals.{scale}")
        if fused is None:
            fused = lateral
        else:
            name = f"upsamplers.{scale - 1}"
            up = functional.conv_transpose2d(
                bn_relu(fused, tensors, f"{name}.0"), tensors[f"{name}.2.weight"], stride=2, padding=1
            )
            fused = fuse(lateral, up, tensors, f"fusions.{scale - 1}.") if config.fusion == "sfu" else lateral + up
        mixed = unit(fused, tensors, f"regressors.{scale}.mix")
        heatmaps.append(unit(mixed, tensors, f"regressors.{scale}.regress", padding=1))
    return heatmaps


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def randomised(module: torch.nn.Module, seed: int = 2) -> tuple[torch.nn.Module, Tensors]:
    module = module.double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.5, generator=generator)
    return module, module.state_dict()


@pytest.mark.parametrize("preset", ["paper", "zoo"])
@pytest.mark.parametrize(
    ("place", "variant"),
    [
        *((place, "suppress") for place in ("input", "bottleneck", "output", "none")),
        *(("input", variant) for variant in ("gate", "amplify", "xunit", "none")),
        ("none", "none"),
        ("none", "xunit"),
    ],
)
def test_orthogonal_layer_is_its_equation(tiny_config: DANetConfig, preset: Any, place: Any, variant: Any) -> None:
    config = replace(tiny_config, preset=preset, channel_attention=place, spatial_attention=variant)
    layer, tensors = randomised(OrthogonalLayer(config, 7))
    features = random(2, 7, 11, 13)
    with torch.no_grad():
        output = layer(features)
    assert output.shape == (2, 11, 11, 13)
    assert torch.equal(output[:, :7], features)
    torch.testing.assert_close(output[:, 7:], new_channels(features, tensors, config), rtol=0, atol=1e-11)


def test_mask_variants_share_one_mask(tiny_config: DANetConfig) -> None:
    tensors = randomised(OrthogonalLayer(tiny_config, 7))[1]
    features = random(1, 7, 9, 9)
    new = {}
    for variant in ("suppress", "gate", "amplify"):
        other = OrthogonalLayer(replace(tiny_config, spatial_attention=variant), 7).double().eval()  # type: ignore[arg-type]
        other.load_state_dict(tensors)
        with torch.no_grad():
            new[variant] = other(features)[:, 7:]
    body = new["suppress"] + new["gate"]  # y (1 - m) + y m
    torch.testing.assert_close(new["amplify"], body + new["gate"], rtol=0, atol=1e-12)
    assert (new["suppress"].abs() <= new["gate"].abs()).all()  # |a| >= 0, so the paper's m is at least a half
    assert not torch.allclose(new["suppress"], new["gate"])


def test_mask_of_the_paper_takes_the_absolute_value(tiny_config: DANetConfig) -> None:
    layer, tensors = randomised(OrthogonalLayer(tiny_config, 7))
    features = random(1, 7, 9, 9)
    flipped = dict(tensors)
    for leaf in ("weight", "bias"):
        flipped[f"spatial_attention.spread.2.{leaf}"] = -tensors[f"spatial_attention.spread.2.{leaf}"]
    with torch.no_grad():
        before = layer(features)
        layer.load_state_dict(flipped)
        torch.testing.assert_close(layer(features), before, rtol=0, atol=1e-12)


def test_second_order_fusion_is_its_equation() -> None:
    fusion, tensors = randomised(SecondOrderFusion(5, bias=False))
    lateral, upsampled = random(2, 5, 10, 12), random(2, 5, 10, 12, seed=3)
    with torch.no_grad():
        output = fusion(lateral, upsampled)
    torch.testing.assert_close(output, fuse(lateral, upsampled, tensors), rtol=0, atol=1e-12)
    assert not torch.allclose(output, fuse(upsampled, lateral, tensors))  # the order of the inputs matters


@pytest.mark.parametrize(("logit", "chosen"), [(60.0, 0), (-60.0, 1)])
def test_second_order_fusion_chooses(logit: float, chosen: int) -> None:
    fusion = SecondOrderFusion(5, bias=False).double().eval()
    inputs = random(1, 5, 8, 8), random(1, 5, 8, 8, seed=3)
    with torch.no_grad():
        fusion.spread[2].weight.zero_()
        fusion.spread[2].bias.fill_(logit)
        torch.testing.assert_close(fusion(*inputs), inputs[chosen], rtol=0, atol=1e-12)


def test_second_order_fusion_of_equals_is_the_identity() -> None:
    fusion, _ = randomised(SecondOrderFusion(5, bias=True))
    feature = random(1, 5, 8, 8)
    with torch.no_grad():
        assert torch.equal(fusion(feature, feature), feature)


def test_plain_sum() -> None:
    assert torch.equal(PlainSum()(torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 2.0)), torch.full((1, 1, 2, 2), 3.0))


@pytest.mark.parametrize("fusion", ["sfu", "sum"])
def test_whole_network_is_its_equations(tiny_config: DANetConfig, make_network: Any, fusion: Any) -> None:
    config = replace(tiny_config, fusion=fusion)
    network = make_network(config, dtype=torch.float64)
    images = random(2, 3, 64, 96)
    with torch.no_grad():
        expected = paper_forward(images, network.state_dict(), config)
        finest, all_scales = network(images), network.forward_all(images)
    torch.testing.assert_close(finest, expected[3], rtol=1e-10, atol=1e-10)
    assert torch.equal(finest, all_scales[3])
    for coarse, heatmaps in zip(expected[:3], all_scales[:3], strict=True):
        resized = functional.interpolate(coarse, size=(16, 24), mode="bilinear", align_corners=False)
        torch.testing.assert_close(heatmaps, resized, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("preset", ["paper", "zoo"])
@pytest.mark.parametrize("size", [(32, 32), (256, 192), (64, 160)])
def test_output_sizes(tiny_config: DANetConfig, make_network: Any, preset: Any, size: tuple[int, int]) -> None:
    network = make_network(replace(tiny_config, preset=preset, keypoints=5))
    images = torch.zeros(1, 3, *size)
    with torch.no_grad():
        outputs = network.forward_all(images)
        scales = [tuple(feature.shape[2:]) for feature in network.pyramid(images)]
    assert [tuple(output.shape) for output in outputs] == [(1, 5, size[0] // 4, size[1] // 4)] * 4
    assert scales == [(size[0] // stride, size[1] // stride) for stride in (32, 16, 8, 4)]


def test_training_mode_uses_the_batch(tiny_config: DANetConfig, make_network: Any) -> None:
    network = make_network(tiny_config)
    images = random(2, 3, 64, 64).float()
    with torch.no_grad():
        assert not torch.allclose(network(images), network.train()(images))

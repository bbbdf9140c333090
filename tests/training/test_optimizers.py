from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from danet_network.config import danet_config
from danet_network.model import DANet
from danet_training import muon
from danet_training.config import Phase, Source, TrainConfig
from danet_training.muon import orthogonalised, stack_orthogonalised
from danet_training.optimizers import Optimizers, as_matrix


def config(**changes: Any) -> TrainConfig:
    values: dict[str, Any] = {"optimizer": "muon", "learning_rate": 0.0, "muon_learning_rate": 0.1} | changes
    return TrainConfig("danet72", "paper", (Source("rendered"),), (Phase((64, 64), 8, batch=4),), **values)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(6, 4, 3)
        self.spread = nn.Conv2d(4, 4, 9, groups=4)
        self.up = nn.ConvTranspose2d(4, 5, 4)


def small() -> nn.Module:
    torch.manual_seed(0)
    return Small().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def test_matrices_are_views() -> None:
    for weight in (small().mix.weight, small().up.weight, torch.zeros(8, 3, 1, 1)):
        assert isinstance(weight, torch.Tensor)
        matrix = as_matrix(weight.detach())
        assert matrix.shape == (len(weight), weight.numel() // len(weight))
        matrix.fill_(7)
        assert (weight == 7).all()


def test_muons_step_is_the_orthogonal_factor_of_the_gradient() -> None:
    # without a momentum of earlier steps: U V' of the gradient's singular value decomposition, which
    # Muon's five iterations reach within singular values of 0.7 to 1.2, times rate * sqrt(max(1, rows / columns))
    network = small()
    gradient = torch.randn(4, 6, 3, 3, generator=torch.Generator().manual_seed(1))
    before = network.mix.weight.detach().clone()  # type: ignore[union-attr]
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    network.mix.weight.grad = gradient.to(memory_format=torch.channels_last)  # type: ignore[union-attr]
    Optimizers(network, config()).step(0.5)
    step = as_matrix(before - network.mix.weight.detach())  # type: ignore[operator]
    u, _, v = torch.linalg.svd(as_matrix(gradient), full_matrices=False)
    cosine = nn.functional.cosine_similarity(step.flatten(), (u @ v).flatten(), dim=0)
    assert cosine > 0.95
    values = torch.linalg.svdvals(step) / (0.5 * 0.1)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_depthwise_and_last_convolutions_and_norms_stay_with_adam() -> None:
    network = DANet(danet_config("danet72")).to(memory_format=torch.channels_last)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    Optimizers(network, config()).step(1.0)  # Adam's rate is 0
    moved = {name for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])}
    still = {name for name, parameter in network.named_parameters() if parameter.ndim == 4} - moved
    depthwise = {name for name in before if before[name].ndim == 4 and before[name].shape[1:] == (1, 9, 9)}
    assert depthwise
    assert still == depthwise | {f"regressors.{scale}.regress.2.weight" for scale in range(4)}
    assert all(before[name].ndim == 4 for name in moved)


def test_adam_alone_is_torchs_adam() -> None:
    networks = small(), small()
    for network in networks:
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, 0.5)
    Optimizers(networks[0], config(optimizer="adam", learning_rate=1e-2)).step(1.0)
    torch.optim.Adam(networks[1].parameters(), lr=1e-2).step()
    for ours, theirs in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_state_goes_on() -> None:
    def stepped(network: nn.Module, optimizers: Optimizers, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizers.step(1.0)

    straight, resumed = small(), small()
    whole = Optimizers(straight, config(learning_rate=0.1))
    first = Optimizers(resumed, config(learning_rate=0.1))
    stepped(straight, whole, 0)
    stepped(resumed, first, 0)
    second = Optimizers(resumed, config(learning_rate=0.1))
    second.load_state_dict(first.state_dict())  # type: ignore[arg-type]
    stepped(straight, whole, 1)
    stepped(resumed, second, 1)
    for ours, theirs in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(ValueError, match="match the size"):
        second.load_state_dict(Optimizers(resumed, config(optimizer="adam")).state_dict())  # type: ignore[arg-type]


def test_another_weight_decay_takes_effect_in_a_run_that_goes_on() -> None:
    networks, states = (small(), small()), []
    for network, decay in zip(networks, (0.0, 0.5), strict=True):
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        states.append(Optimizers(network, config(muon_weight_decay=decay)).state_dict())
    before = networks[1].mix.weight.detach().clone()  # type: ignore[union-attr]
    resumed = Optimizers(networks[1], config(muon_weight_decay=0.5))
    resumed.load_state_dict(states[0])  # type: ignore[arg-type]
    resumed.step(1.0)
    assert not torch.equal(networks[1].mix.weight, before)  # type: ignore[arg-type]


def test_stacks_are_orthogonalised_as_their_matrices_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muon, "computes_bf16", lambda device: False)  # whose rounding depends on the stack
    generator = torch.Generator().manual_seed(2)
    shapes = ((4, 9), (30, 4), (4, 4), (8, 20), (4, 17), (20, 8))
    matrices = [torch.randn(shape, generator=generator) * 10.0**number for number, shape in enumerate(shapes)]
    for stacked, matrix in zip(stack_orthogonalised(matrices), matrices, strict=True):
        torch.testing.assert_close(stacked, orthogonalised(matrix), atol=1e-5, rtol=1e-5)

"""The optimisers of a training run: the paper's Adam, and Muon for short budgets."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from danet_training.config import TrainConfig
from danet_training.muon import Muon


class Optimizers:
    """Steps every parameter of a network with the config's optimiser.

    "adam": the paper's, for everything. "muon": Muon for the matrices of dense convolutions, Adam for
    the rest (norms, biases, depthwise and last convolutions). Parameters that ask for no gradient are left out.

    Args:
        network: its parameters must stay where they are: Muon steps views of them.
        config: optimiser and learning rates.
    """

    def __init__(self, network: nn.Module, config: TrainConfig) -> None:
        muon = config.optimizer == "muon"
        self._sources = [weight for weight in _dense_convolutions(network) if muon and weight.requires_grad]
        self._views = [nn.Parameter(as_matrix(weight.detach())) for weight in self._sources]
        taken = {id(weight) for weight in self._sources}
        rest = [weight for weight in network.parameters() if id(weight) not in taken and weight.requires_grad]
        self._members: list[tuple[Optimizer, float]] = []
        if rest:
            self._members.append((Adam(rest, lr=config.learning_rate, fused=True), config.learning_rate))
        if self._views:
            rate = config.muon_learning_rate
            self._members.append((Muon(self._views, lr=rate, weight_decay=config.muon_weight_decay), rate))

    def step(self, schedule: float) -> None:
        """One step at `schedule` times the learning rates; gradients are those of the network's parameters."""
        for view, source in zip(self._views, self._sources, strict=True):
            view.grad = None if source.grad is None else as_matrix(source.grad)
        for optimizer, rate in self._members:
            for group in optimizer.param_groups:
                group["lr"] = rate * schedule
            optimizer.step()

    def state_dict(self) -> dict[str, object]:
        """Of all members, by name."""
        return {type(optimizer).__name__: optimizer.state_dict() for optimizer, _ in self._members}

    def load_state_dict(self, state: dict[str, dict[str, object]]) -> None:
        """Continue from a saved state, with the config's own weight decay.

        Raises:
            KeyError, ValueError: the state of other optimisers, or of another network.
        """
        for optimizer, _ in self._members:
            optimizer.load_state_dict(state[type(optimizer).__name__])
            for group in optimizer.param_groups:
                group["weight_decay"] = optimizer.defaults["weight_decay"]


def as_matrix(weight: Tensor) -> Tensor:
    """(O, I, h, w) -> (O, h * w * I). A view where the weight lies in channels-last order, as training keeps it."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _dense_convolutions(network: nn.Module) -> Iterable[Tensor]:
    """Weights of convolutions that mix channels, but for those that end in heatmaps."""
    for name, module in network.named_modules():
        dense = isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.groups == 1
        if dense and not name.endswith("regress.2"):
            assert isinstance(module.weight, Tensor)
            view = as_matrix(module.weight.detach())
            if view.data_ptr() != module.weight.data_ptr():
                raise AssertionError(f"{name}.weight is not in channels-last order")
            yield module.weight

from __future__ import annotations

import pytest
import torch
from torch import nn

from danet_training.average import WarmedUpAverage


class Numbers(nn.Module):
    """One weight, one statistic, one counter."""

    weight: nn.Parameter
    statistic: torch.Tensor
    counter: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("statistic", torch.zeros(1))
        self.register_buffer("counter", torch.zeros((), dtype=torch.long))

    def set(self, value: float) -> None:
        with torch.no_grad():
            self.weight.fill_(value)
        self.statistic.fill_(10 * value)
        self.counter.fill_(int(value))


def averages(decay: float, values: list[float]) -> list[tuple[float, float, int]]:
    model = Numbers()
    average = WarmedUpAverage(model, decay)
    found = []
    for value in values:
        model.set(value)
        average.update_parameters(model)
        inner = average.module
        found.append((inner.weight.item(), inner.statistic.item(), inner.counter.item()))
    return found


def test_decay_grows_with_the_steps() -> None:
    # decays by hand: the first update copies, then (1 + n) / (10 + n): 2/11, 3/12, 4/13
    expected = [0.0]
    for decay, value in ((2 / 11, 1.0), (3 / 12, 4.0), (4 / 13, -2.0)):
        expected.append(decay * expected[-1] + (1 - decay) * value)
    found = averages(0.999, [0.0, 1.0, 4.0, -2.0])
    assert [weight for weight, _, _ in found] == pytest.approx(expected, abs=1e-6)
    assert [statistic for _, statistic, _ in found] == pytest.approx([10 * value for value in expected], abs=1e-5)


def test_decay_stops_at_its_limit() -> None:
    found = averages(0.25, [0.0, *[1.0] * 8])
    # 2/11, then 3/12 and 1/4 for ever
    assert found[-1][0] == pytest.approx(1 - (2 / 11) * 0.25**7, abs=1e-6)
    slow = averages(1.0, [0.0, *[1.0] * 8])
    assert slow[-1][0] < found[-1][0]


def test_counters_are_copied() -> None:
    assert [counter for _, _, counter in averages(0.999, [3.0, 7.0, 20.0])] == [3, 7, 20]


def test_current_weights_are_left_alone() -> None:
    model = Numbers()
    average = WarmedUpAverage(model, 0.9)
    for value in (1.0, 2.0, 3.0):
        model.set(value)
        average.update_parameters(model)
    assert (model.weight.item(), model.statistic.item(), model.counter.item()) == (3.0, 30.0, 3)


def test_no_value_of_the_device_is_read() -> None:
    # tensors of this device have none: a read of one, for which a GPU's host would wait, raises
    model = Numbers().to("meta")
    average = WarmedUpAverage(model, 0.9)
    for _ in range(3):
        average.update_parameters(model)
    assert int(average.n_averaged) == 3

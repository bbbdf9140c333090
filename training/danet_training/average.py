"""Exponential moving average of weights and BN statistics."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim.swa_utils import AveragedModel


class WarmedUpAverage(AveragedModel):
    """An EMA of weights and buffers whose decay grows as (1 + n) / (10 + n) up to `decay`.

    Without the warm-up (torch's own get_ema_multi_avg_fn has none) the average of a young network
    is of little use: after 850 steps at decay 0.998 its AP was 0 where the plain weights had learnt
    to find people.

    Args:
        model: starts the average.
        decay: 0 to below 1.
    """

    def __init__(self, model: Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take in the model's tensors; counters are copied.

        The count of updates lies on the host and is read there. AveragedModel's own method hands it on through the
        model's device, and a GPU's host would wait for all that is queued, twice in each step.
        """
        count = int(self.n_averaged)
        weight = 1 - min(self.decay, (1 + count) / (10 + count)) if count else 1.0
        pairs = list(zip(_tensors(self.module), _tensors(model), strict=True))
        averaged, current = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        torch._foreach_lerp_(averaged, current, weight)
        for ours, theirs in pairs:
            if not ours.is_floating_point():  # BN's counters of batches
                ours.copy_(theirs)
        self.n_averaged += 1


def _tensors(model: Module) -> Iterator[Tensor]:
    return chain(model.parameters(), model.buffers())

"""Exponential moving average of weights and BN statistics."""

from __future__ import annotations

from itertools import compress

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
        averaged, current = _tensors(self.module), _tensors(model)
        floating = [tensor.is_floating_point() for tensor in averaged]
        torch._foreach_lerp_([*compress(averaged, floating)], [*compress(current, floating)], weight)
        counting = [not one for one in floating]  # BN's counters of batches
        torch._foreach_copy_([*compress(averaged, counting)], [*compress(current, counting)])
        self.n_averaged += 1


def _tensors(model: Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]

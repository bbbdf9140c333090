"""Muon: momentum whose matrix is orthogonalised before the step."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from danet_training.arithmetic import computes_bf16

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that one iteration applies to the singular values (Jordan et al., 2024)."""
ITERATIONS = 5


class Muon(Optimizer):
    """Muon of Jordan et al., 2024 (https://kellerjordan.github.io/posts/muon/), for matrices.

    Differs from torch.optim.Muon in its arithmetic alone: torch iterates in bfloat16 on every device.
    On a CPU without it a step of DANet-72 took 4.2 s there and takes 0.1 s in float32 (AMD EPYC, AVX2,
    2 threads, torch 2.13.0, 2026-11-24), more than the gradients of 32 persons at 256x192 take.

    Args:
        matrices: parameters (rows, columns).
        lr: spectral norm of a step, times sqrt(max(1, rows / columns)).
        weight_decay: decoupled, times lr.
        momentum: share of the average that stays in a step; Nesterov's form.
    """

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Step every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._step(matrix, matrix.grad, group["lr"], group["weight_decay"], group["momentum"])

    def _step(self, matrix: Tensor, gradient: Tensor, rate: float, decay: float, momentum: float) -> None:
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        average: Tensor = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        direction = orthogonalised(gradient.lerp(average, momentum))
        rows, columns = matrix.shape
        matrix.mul_(1 - rate * decay)
        matrix.add_(direction, alpha=-rate * max(1.0, rows / columns) ** 0.5)


def orthogonalised(matrix: Tensor) -> Tensor:
    """About U V' of the singular value decomposition U S V' of a matrix (m, n): singular values in 0.7 to 1.2.

    Newton-Schulz iteration, in bfloat16 where the device computes in it, else float32.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(torch.bfloat16 if computes_bf16(matrix.device) else torch.float32)
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)

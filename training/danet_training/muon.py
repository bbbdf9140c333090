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
            matrices = [matrix for matrix in group["params"] if matrix.grad is not None]
            if matrices:
                self._step(matrices, group["lr"], group["weight_decay"], group["momentum"])

    def _step(self, matrices: list[Tensor], rate: float, decay: float, momentum: float) -> None:
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        for matrix, gradient in zip(matrices, gradients, strict=True):
            if "momentum_buffer" not in self.state[matrix]:
                self.state[matrix]["momentum_buffer"] = torch.zeros_like(gradient)
        averages: list[Tensor] = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        directions = all_orthogonalised(list(torch._foreach_lerp(gradients, averages, momentum)))
        factors = [-rate * max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5 for matrix in matrices]
        torch._foreach_mul_(directions, factors)
        if decay:
            torch._foreach_mul_(matrices, 1 - rate * decay)
        torch._foreach_add_(matrices, directions)


def all_orthogonalised(matrices: list[Tensor]) -> list[Tensor]:
    """`orthogonalised` of each matrix; on a GPU, whose time goes into the launches of small products, in stacks."""
    if matrices[0].is_cuda:
        return stack_orthogonalised(matrices)
    return [orthogonalised(matrix) for matrix in matrices]


def stack_orthogonalised(matrices: list[Tensor]) -> list[Tensor]:
    """`orthogonalised` of each matrix, with those of one height in one stack.

    Columns of zeros fill them up to one width, and stay zero in the iteration.
    """
    lying = [matrix.T if _tall(matrix) else matrix for matrix in matrices]
    stacks: dict[int, list[int]] = {}
    for number, matrix in enumerate(lying):
        stacks.setdefault(len(matrix), []).append(number)
    found = list(lying)
    for height, numbers in stacks.items():
        widths = [lying[number].shape[1] for number in numbers]
        stack = lying[numbers[0]].new_zeros((len(numbers), height, max(widths)))
        for plane, number, width in zip(stack, numbers, widths, strict=True):
            plane[:, :width] = lying[number]
        for plane, number, width in zip(orthogonalised(stack), numbers, widths, strict=True):
            found[number] = plane[:, :width]
    return [done.T if _tall(matrix) else done for done, matrix in zip(found, matrices, strict=True)]


def _tall(matrix: Tensor) -> bool:
    return matrix.shape[-2] > matrix.shape[-1]


def orthogonalised(matrices: Tensor) -> Tensor:
    """About U V' of the singular value decomposition U S V' of matrices (..., m, n): singular values in 0.7 to 1.2.

    Newton-Schulz iteration, in bfloat16 where the device computes in it, else float32.
    """
    a, b, c = COEFFICIENTS
    tall = _tall(matrices)
    x = (matrices.mT if tall else matrices).to(torch.bfloat16 if computes_bf16(matrices.device) else torch.float32)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    done: Tensor = (x.mT if tall else x).to(matrices.dtype)
    return done

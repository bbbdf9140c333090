"""The masks' depthwise 9x9 convolution on a GPU, in Triton, for training.

Neither cuDNN nor PyTorch is fast at a depthwise convolution of this size: training/RUNS.md has times.
Everything lies channels-last, so that the channels that a program works on are one stretch of memory.
"""

# mypy: disable-error-code="untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_SIDE = 9
_TAPS = _SIDE * _SIDE
_PARTS = 96
"""Most stretches of cells whose weight gradients are summed apart."""
_PART_CELLS = 256
"""Fewest cells of one."""


@triton.jit
def _convolve(
    x: Any,
    w: Any,
    b: Any,
    y: Any,
    height: Any,
    width: Any,
    cells: Any,
    channels: Any,
    flipped: tl.constexpr,
    tile: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """y[p, c] = b[c] + sum over the taps of w[tap, c] x[p + tap, c]; flipped: the taps turned around, no b."""
    p = tl.program_id(0) * tile + tl.arange(0, tile)
    c = tl.program_id(1) * block + tl.arange(0, block)
    row, column = (p // width) % height, p % width
    known = (c < channels)[None, :]
    total = tl.zeros((tile, block), tl.float32)
    for i in range(9):
        inside_row = (row + i - 4 >= 0) & (row + i - 4 < height) & (p < cells)
        for j in tl.static_range(9):
            inside = inside_row & (column + j - 4 >= 0) & (column + j - 4 < width)
            place = (p + (i - 4) * width + (j - 4))[:, None] * channels + c[None, :]
            values = tl.load(x + place, mask=inside[:, None] & known, other=0.0).to(tl.float32)
            tap = 80 - (i * 9 + j) if flipped else i * 9 + j
            weight = tl.load(w + tap * channels + c, mask=c < channels, other=0.0)
            total += values * weight[None, :]
    if not flipped:
        total += tl.load(b + c, mask=c < channels, other=0.0)[None, :]
    tl.store(y + p[:, None] * channels + c[None, :], total, mask=(p < cells)[:, None] & known)


@triton.jit
def _products(
    x: Any, g: Any, p: Any, c: Any, column: Any, inside_row: Any, i: Any, j: tl.constexpr, width: Any, channels: Any
) -> Any:
    inside = inside_row & (column + j - 4 >= 0) & (column + j - 4 < width)
    place = (p + (i - 4) * width + (j - 4))[:, None] * channels + c[None, :]
    return g * tl.load(x + place, mask=inside[:, None] & (c < channels)[None, :], other=0.0).to(tl.float32)


@triton.jit
def _put(out: Any, total: Any, i: Any, j: tl.constexpr, c: Any, channels: Any) -> None:
    tl.store(out + (i * 9 + j) * channels + c, tl.sum(total, 0), mask=c < channels)


@triton.jit
def _weight_gradient(
    x: Any,
    g: Any,
    out: Any,
    height: Any,
    width: Any,
    cells: Any,
    part_cells: Any,
    channels: Any,
    tile: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """out[part, tap, c] = sum over the part's cells of g[p, c] x[p + tap, c], for the nine taps of one row."""
    i, part = tl.program_id(0), tl.program_id(1)
    c = tl.program_id(2) * block + tl.arange(0, block)
    t0 = tl.zeros((tile, block), tl.float32)
    t1, t2, t3, t4, t5, t6, t7, t8 = t0, t0, t0, t0, t0, t0, t0, t0
    end = tl.minimum((part + 1) * part_cells, cells)
    for start in range(part * part_cells, end, tile):
        p = start + tl.arange(0, tile)
        row, column = (p // width) % height, p % width
        inside_row = (row + i - 4 >= 0) & (row + i - 4 < height) & (p < end)
        known = (p < end)[:, None] & (c < channels)[None, :]
        v = tl.load(g + p[:, None] * channels + c[None, :], mask=known, other=0.0).to(tl.float32)
        t0 += _products(x, v, p, c, column, inside_row, i, 0, width, channels)
        t1 += _products(x, v, p, c, column, inside_row, i, 1, width, channels)
        t2 += _products(x, v, p, c, column, inside_row, i, 2, width, channels)
        t3 += _products(x, v, p, c, column, inside_row, i, 3, width, channels)
        t4 += _products(x, v, p, c, column, inside_row, i, 4, width, channels)
        t5 += _products(x, v, p, c, column, inside_row, i, 5, width, channels)
        t6 += _products(x, v, p, c, column, inside_row, i, 6, width, channels)
        t7 += _products(x, v, p, c, column, inside_row, i, 7, width, channels)
        t8 += _products(x, v, p, c, column, inside_row, i, 8, width, channels)
    out += part * 81 * channels
    _put(out, t0, i, 0, c, channels)
    _put(out, t1, i, 1, c, channels)
    _put(out, t2, i, 2, c, channels)
    _put(out, t3, i, 3, c, channels)
    _put(out, t4, i, 4, c, channels)
    _put(out, t5, i, 5, c, channels)
    _put(out, t6, i, 6, c, channels)
    _put(out, t7, i, 7, c, channels)
    _put(out, t8, i, 8, c, channels)


def _block(channels: int) -> int:
    return 32 if channels % 32 == 0 else 16


def _convolved(x: Tensor, taps: Tensor, bias: Tensor, flipped: bool) -> Tensor:
    count, channels, height, width = x.shape
    y = torch.empty_like(x, memory_format=torch.channels_last)
    cells, block = count * height * width, _block(channels)
    grid = (triton.cdiv(cells, 64), triton.cdiv(channels, block))
    with torch.cuda.device_of(x):  # Triton launches on the current one
        _convolve[grid](x, taps, bias, y, height, width, cells, channels, flipped, 64, block, num_warps=4)
    return y


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        taps = weight.float().view(len(weight), _TAPS).T.contiguous()
        ctx.save_for_backward(x, taps, bias)
        return _convolved(x, taps, bias.float(), False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, taps, bias = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        count, channels, height, width = x.shape
        cells, block = count * height * width, _block(channels)
        parts = max(1, min(_PARTS, cells // _PART_CELLS))
        out = torch.empty((parts, _TAPS, channels), dtype=torch.float32, device=x.device)
        grid = (_SIDE, parts, triton.cdiv(channels, block))
        part_cells = triton.cdiv(cells, parts)
        with torch.cuda.device_of(x):
            _weight_gradient[grid](x, gradient, out, height, width, cells, part_cells, channels, 32, block, num_warps=4)
        weight_gradient = out.sum(0).T.reshape(channels, 1, _SIDE, _SIDE)
        return _convolved(gradient, taps, bias, True), weight_gradient, gradient.sum((0, 2, 3), dtype=torch.float32)


def depthwise9x9(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Features (N, C, H, W) on a GPU, weights (C, 1, 9, 9) and bias (C,) float32 -> (N, C, H, W) of x's dtype.

    Zero padding of 4 cells; sums in float32, always in the same order.
    """
    y: Tensor = _Depthwise.apply(x, weight, bias)
    return y

"""What the machine's arithmetic can do: chains of large matrix products and of convolutions in OpenVINO, by precision.

Both, since either may have the better kernel: without VNNI OpenVINO's INT8 convolutions are twice as fast as its INT8
matrix products.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danet_benchmarks.results import Peak

SIDE = 1024
CHAIN = 4
"""Products to a call; the result of one is the left side of the next."""
CALL_GMAC = CHAIN * SIDE**3 / 1e9
_CELLS = (4, 64, 48)
"""Batch, height and width of the convolutions' maps."""
_CHANNELS = 256
CONVOLUTIONS_GMAC = CHAIN * prod(_CELLS) * 9 * _CHANNELS**2 / 1e9
PRECISIONS = ("FP32", "BF16", "INT8")
_EXECUTED_AS = {"FP32": ("f32",), "BF16": ("bf16",), "INT8": ("u8", "i8")}
"""What the runtime calls the arithmetic, where it really used it."""


class Products:
    """The chain of matrix products, compiled for one precision and number of threads."""

    gmac = CALL_GMAC
    """To a call."""

    def __init__(self, precision: str, threads: int) -> None:
        config = {
            "INFERENCE_PRECISION_HINT": ov.Type.bf16 if precision == "BF16" else ov.Type.f32,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
        }
        model = self._model(quantized=precision == "INT8")
        compiled = ov.Core().compile_model(model, "CPU", config)
        self.as_asked = set(_executed(compiled)) <= set(_EXECUTED_AS[precision])
        """False where this CPU lacks the arithmetic and the runtime took another."""
        self._request = compiled.create_infer_request()
        shape = model.input(0).get_shape()
        self._request.infer({0: np.random.default_rng(1).standard_normal(list(shape)).astype(np.float32)})

    @staticmethod
    def _model(quantized: bool) -> Any:
        return _chain(quantized)

    def seconds(self) -> float:
        """Of one call."""
        start = time.perf_counter()
        self._request.infer()
        return time.perf_counter() - start


class Convolutions(Products):
    """The chain of 3x3 convolutions."""

    gmac = CONVOLUTIONS_GMAC

    @staticmethod
    def _model(quantized: bool) -> Any:
        return _convolutions(quantized)


def measure_peaks(threads: Sequence[int], seconds: float) -> tuple[Peak, ...]:
    """The best call of each precision that the CPU has, at each number of threads.

    Args:
        threads: numbers of threads.
        seconds: how long each is tried.
    """
    return tuple(_measured(threads, seconds))


def _measured(threads: Sequence[int], seconds: float) -> Iterator[Peak]:
    for number in threads:
        for precision in PRECISIONS:
            found = []
            for kind in (Products, Convolutions):
                try:
                    products = kind(precision, number)
                except RuntimeError:  # the runtime refuses arithmetic that the CPU lacks
                    continue
                if products.as_asked:
                    found.append(products.gmac / _best(products, seconds / 2))
            if found:
                yield Peak(precision, number, max(found))


def _best(products: Products, seconds: float) -> float:
    end = time.perf_counter() + seconds
    best = products.seconds()
    while time.perf_counter() < end:
        best = min(best, products.seconds())
    return best


def _chain(quantized: bool) -> Any:
    rng = np.random.default_rng(0)
    first = ops.parameter([SIDE, SIDE], np.float32)
    left: Any = first
    for _ in range(CHAIN):
        right: Any = ops.constant((rng.standard_normal((SIDE, SIDE)) / SIDE**0.5).astype(np.float32))
        if quantized:
            left, right = _rounded(left, -3.0, 3.0, 256), _rounded(right, -0.1, 0.1, 255)
        left = ops.matmul(left, right, False, True)
    return ov.Model([left], [first], "products")


def _convolutions(quantized: bool) -> Any:
    rng = np.random.default_rng(0)
    batch, height, width = _CELLS
    first = ops.parameter([batch, _CHANNELS, height, width], np.float32)
    maps: Any = first
    for _ in range(CHAIN):
        weights = rng.standard_normal((_CHANNELS, _CHANNELS, 3, 3)) / (3 * _CHANNELS**0.5)
        kernels: Any = ops.constant(weights.astype(np.float32))
        maps = ops.relu(maps)
        if quantized:
            maps, kernels = _rounded(maps, 0.0, 3.0, 256), _rounded(kernels, -0.1, 0.1, 255)
        maps = ops.convolution(maps, kernels, [1, 1], [1, 1], [1, 1], [1, 1])
    return ov.Model([maps], [first], "convolutions")


def _rounded(values: Any, low: float, high: float, levels: int) -> Any:
    """The node by which OpenVINO knows that a product may be done in 8-bit integers."""
    ends = [ops.constant(np.float32(end)) for end in (low, high, low, high)]
    return ops.fake_quantize(values, *ends, levels)


_PRODUCTS = ("FullyConnected", "MatMul", "Gemm", "Convolution")


def _executed(compiled: Any) -> list[str]:
    infos = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    products = [info for info in infos if info["layerType"].astype(str) in _PRODUCTS]
    return [info["runtimePrecision"].astype(str) for info in products]

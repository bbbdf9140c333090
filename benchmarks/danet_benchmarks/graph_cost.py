"""Multiply-adds and parameters of any model file, counted on its graph as OpenVINO reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import openvino as ov

from danet.errors import ModelFileError


@dataclass(frozen=True)
class GraphCost:
    """What a file holds and does for one person."""

    parameters: int
    """Numbers in weights and biases, folded norms not counted."""
    multiply_adds: int
    """Of convolutions, deconvolutions and matrix products, as they are executed."""


def graph_cost(path: Path) -> GraphCost:
    """Count on an IR, ONNX or TFLite file with one picture batch as its input.

    Raises:
        ModelFileError: OpenVINO cannot read the file, or some shape in it depends on the picture.
    """
    try:
        model = ov.Core().read_model(path)
        shape = model.input(0).partial_shape
        shape[0] = 1
        model.reshape({0: shape})
        nodes = model.get_ops()
        return GraphCost(sum(_numbers(node) for node in nodes), sum(multiply_adds(node) for node in nodes))
    except RuntimeError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelFileError(f"{path}: OpenVINO cannot count its operations ({lines[-1].strip()})") from error


def _numbers(node: Any) -> int:
    """Of a constant that is a weight, a bias or the like; integers are shapes and axes, but for quantized weights."""
    if node.get_type_name() != "Constant":
        return 0
    kind, shape = node.get_element_type(), node.get_output_shape(0)
    if kind.is_integral_number() and (kind not in (ov.Type.i8, ov.Type.u8) or len(shape) < 2):
        return 0
    return _cells(shape)


def multiply_adds(node: Any) -> int:
    """Of one operation of a graph with static shapes."""
    count = _COUNTS.get(node.get_type_name())
    return 0 if count is None else count(node)


def _cells(shape: Any) -> int:
    return int(prod(shape))


def _of_convolution(node: Any) -> int:
    """Each output cell meets in x kh x kw weights; the weights are (out, in, kh, kw)."""
    return _cells(node.get_output_shape(0)) * _cells(node.get_input_shape(1)[1:])


def _of_grouped(node: Any) -> int:
    """The same for each group; the weights are (groups, out, in, kh, kw)."""
    return _cells(node.get_output_shape(0)) * _cells(node.get_input_shape(1)[2:])


def _of_deconvolution(node: Any) -> int:
    """Each input cell meets out x kh x kw weights; the weights are (in, out, kh, kw)."""
    return _cells(node.get_input_shape(0)) * _cells(node.get_input_shape(1)[1:])


def _of_grouped_deconvolution(node: Any) -> int:
    """The same for each group; the weights are (groups, in, out, kh, kw)."""
    return _cells(node.get_input_shape(0)) * _cells(node.get_input_shape(1)[2:])


def _of_product(node: Any) -> int:
    """Each output cell is a sum over the inner dimension of the left matrix."""
    inner = -2 if node.get_attributes()["transpose_a"] else -1
    return _cells(node.get_output_shape(0)) * int(node.get_input_shape(0)[inner])


_COUNTS: dict[str, Callable[[Any], int]] = {
    "Convolution": _of_convolution,
    "GroupConvolution": _of_grouped,
    "ConvolutionBackpropData": _of_deconvolution,
    "GroupConvolutionBackpropData": _of_grouped_deconvolution,
    "MatMul": _of_product,
}

"""The operations of an OpenVINO or ONNX graph in one form, so that roles are read off both alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
import openvino as ov
from numpy.typing import NDArray

Kind = Literal[
    "convolution", "depthwise", "deconvolution", "sigmoid", "product", "sum", "mean", "scale", "shift", "other"
]

_IR_KINDS: dict[str, Kind] = {
    "Convolution": "convolution",
    "GroupConvolution": "depthwise",
    "ConvolutionBackpropData": "deconvolution",
    "GroupConvolutionBackpropData": "deconvolution",
    "Sigmoid": "sigmoid",
    "Multiply": "product",
    "Add": "sum",
    "Subtract": "sum",
    "ReduceMean": "mean",
}
_ONNX_KINDS: dict[str, Kind] = {
    "Conv": "convolution",
    "ConvTranspose": "deconvolution",
    "Sigmoid": "sigmoid",
    "Mul": "product",
    "Add": "sum",
    "Sub": "sum",
    "ReduceMean": "mean",
    "GlobalAveragePool": "mean",
    "BatchNormalization": "scale",
    "Neg": "scale",
}


@dataclass(frozen=True)
class Operation:
    """One operation of a graph."""

    name: str
    """As NNCF's ignored scopes call it."""
    kind: Kind
    """A product or a sum is of two features; with a constant it is a scale or a shift."""
    size: tuple[int, int] | None
    """Height and width of its output in cells; None where it is no map."""
    kernel: tuple[int, int] | None
    """Height and width of a convolution's kernel."""
    weights: int
    """Numbers in a convolution's weights."""
    broadcast: bool = False
    """Whether one of its inputs is a single cell that meets a map."""


def graph_input(graph: Any) -> str:
    """Name of the input of an OpenVINO or ONNX model; older ONNX files list their weights among the inputs."""
    if isinstance(graph, ov.Model):
        return str(graph.input(0).get_any_name())
    weights = {tensor.name for tensor in graph.graph.initializer}
    return next(str(one.name) for one in graph.graph.input if one.name not in weights)


def ir_operations(model: ov.Model) -> list[Operation]:
    """The operations of an IR in topological order, constants left out."""
    return [_ir_operation(node) for node in model.get_ordered_ops() if node.get_type_name() not in _IR_SILENT]


_IR_SILENT = ("Constant", "Parameter", "Result")


def _ir_operation(node: Any) -> Operation:
    constant = any(_is_constant(source.get_source_output().get_node()) for source in node.inputs())
    kind = _kind(_IR_KINDS.get(node.get_type_name(), "other"), constant)
    size = map_size(node.output(0).partial_shape)
    inputs = [map_size(source.get_source_output().get_partial_shape()) for source in node.inputs()]
    weights: list[int] = (
        list(node.input_value(1).get_partial_shape().to_shape())
        if kind in ("convolution", "depthwise", "deconvolution")
        else []
    )
    return Operation(node.get_friendly_name(), kind, size, *_kernel(weights), _broadcasts(size, inputs))


def map_size(shape: Any) -> tuple[int, int] | None:
    """Height and width that a shape of an IR states for a map; None where it is no map, or does not state them."""
    sides = [shape[axis] for axis in (2, 3)] if shape.rank.is_static and len(shape) == 4 else []
    return (sides[0].get_length(), sides[1].get_length()) if sides and all(side.is_static for side in sides) else None


def _is_constant(node: Any) -> bool:
    """A constant, also one that is stored in half precision or quantized."""
    while node.get_type_name() in ("Convert", "Reshape", "FakeQuantize"):
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def constant_values(node: Any) -> NDArray[np.float32] | None:
    """The values of a constant of an IR, also of one that is stored in another type; None for what is none."""
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return np.asarray(node.data, np.float32) if node.get_type_name() == "Constant" else None


def onnx_operations(model: onnx.ModelProto) -> list[Operation]:
    """The operations of an ONNX graph in its own, topological order."""
    shaped = onnx.shape_inference.infer_shapes(model)
    constants = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    constants |= {node.output[0]: [] for node in model.graph.node if node.op_type == "Constant"}
    sizes = {value.name: _onnx_size(value) for value in (*shaped.graph.value_info, *shaped.graph.output)}
    return [_onnx_operation(node, constants, sizes) for node in model.graph.node if node.op_type != "Constant"]


def _onnx_operation(
    node: onnx.NodeProto, constants: dict[str, list[int]], sizes: dict[str, tuple[int, int] | None]
) -> Operation:
    kind = _kind(_ONNX_KINDS.get(node.op_type, "other"), any(name in constants for name in node.input))
    weights = constants.get(node.input[1], []) if kind in ("convolution", "deconvolution") else []
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    if kind == "convolution" and groups > 1:
        kind = "depthwise"
    size = sizes.get(node.output[0])
    return Operation(
        node.name, kind, size, *_kernel(weights), _broadcasts(size, [sizes.get(name) for name in node.input])
    )


def _onnx_size(value: onnx.ValueInfoProto) -> tuple[int, int] | None:
    sides = value.type.tensor_type.shape.dim
    if len(sides) != 4 or not sides[2].dim_value or not sides[3].dim_value:
        return None
    return sides[2].dim_value, sides[3].dim_value


def _broadcasts(size: tuple[int, int] | None, inputs: list[tuple[int, int] | None]) -> bool:
    return size != (1, 1) and (1, 1) in inputs


def _kind(kind: Kind, with_constant: bool) -> Kind:
    if with_constant and kind == "product":
        return "scale"
    return "shift" if with_constant and kind == "sum" else kind


def _kernel(weights: list[int]) -> tuple[tuple[int, int] | None, int]:
    """Kernel and number of weights; the kernel is last in every layout of weights."""
    if len(weights) < 4:
        return None, 0
    count = 1
    for side in weights:
        count *= side
    return (weights[-2], weights[-1]), count

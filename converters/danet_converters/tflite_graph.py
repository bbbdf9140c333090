"""Changes to a finished TFLite graph: what no PyTorch program says, but the format does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from danet.tflite_file import IDENTIFIER

FREE = -1
"""A dimension that is set when the file is opened."""
INPUT, OUTPUT = b"images", b"heatmaps"
_OPERATORS = schema.BuiltinOperator
_EMPTY_OPTIONS = {
    _OPERATORS.QUANTIZE: (schema.BuiltinOptions.QuantizeOptions, schema.QuantizeOptionsT),
    _OPERATORS.DEQUANTIZE: (schema.BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT),
}
_UNFOLDING = (0, 1, 3, 2, 4, 5)
"""(N, h, w, 2, 2, C) -> (N, h, 2, w, 2, C), the middle of a depth to space."""


def for_any_batch(model: bytes) -> bytes:
    """A model that was exported for one person as one whose batch is set when it is opened.

    The only operations of DANet's graph that name the batch are the reshapes around the unfolding of
    2x2 blocks: each such triple is one DEPTH_TO_SPACE. Input and output are called what they are
    called in the other formats.
    """
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    for subgraph in graph.subgraphs:
        subgraph.operators = _with_depth_to_space(graph, subgraph)
        for index in (*subgraph.inputs, *subgraph.outputs):
            tensor = subgraph.tensors[index]
            tensor.shapeSignature = [FREE, *tensor.shape[1:]]
    _state_operators(graph)
    _drop_unused_tensors(graph)
    _name(graph)
    return packed(graph)


def _state_operators(graph: Any) -> None:
    """What LiteRT's quantizer leaves out of its QUANTIZE and DEQUANTIZE, and OpenVINO's reader of .tflite files needs.

    The older, 8-bit field of an operator's code, and options, empty as they are.
    """
    for code in graph.operatorCodes:
        code.deprecatedBuiltinCode = min(code.builtinCode, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    for node in graph.subgraphs[0].operators:
        kind = operation(graph, node)
        if kind in _EMPTY_OPTIONS and node.builtinOptions is None:
            node.builtinOptionsType, make = _EMPTY_OPTIONS[kind]
            node.builtinOptions = make()


def _drop_unused_tensors(graph: Any) -> None:
    """Tools that look at every tensor stumble over one that no operation writes."""
    (subgraph,) = graph.subgraphs
    used = {int(index) for node in subgraph.operators for index in (*node.inputs, *node.outputs)}
    kept = sorted((used | {int(index) for index in (*subgraph.inputs, *subgraph.outputs)}) - {-1})
    places = {index: place for place, index in enumerate(kept)} | {-1: -1}
    subgraph.tensors = [subgraph.tensors[index] for index in kept]
    for owner in (subgraph, *subgraph.operators):
        owner.inputs = [places[int(index)] for index in owner.inputs]
        owner.outputs = [places[int(index)] for index in owner.outputs]
    for entry in (end for signature in graph.signatureDefs for end in (*signature.inputs, *signature.outputs)):
        entry.tensorIndex = places[int(entry.tensorIndex)]


def _name(graph: Any) -> None:
    """Short names: those that the exporter makes of the modules' paths weigh as much as the operations."""
    (subgraph,) = graph.subgraphs
    for index, tensor in enumerate(subgraph.tensors):
        tensor.name = str(index).encode()
    for indices, name in ((subgraph.inputs, INPUT), (subgraph.outputs, OUTPUT)):
        subgraph.tensors[indices[0]].name = name
    for signature in graph.signatureDefs:
        signature.inputs[0].name, signature.outputs[0].name = INPUT, OUTPUT


def packed(graph: Any) -> bytes:
    """A graph as a flatbuffer in which equal vectors are written once.

    Each quantized weight and bias carries a zero point of 8 bytes for each channel, all 0: a fifth of an INT8
    DANet.
    """
    builder = _SharingBuilder(1 << 20)
    builder.Finish(graph.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Writes a vector that it wrote before as a reference to that."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: Any) -> int:  # noqa: N802
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def operation(graph: Any, operator: Any) -> int:
    """The builtin operator of a node."""
    code: int = graph.operatorCodes[operator.opcodeIndex].builtinCode
    return code


def _with_depth_to_space(graph: Any, subgraph: Any) -> list[Any]:
    kept: list[Any] = []
    operators = list(subgraph.operators)
    while operators:
        triple = operators[:3]
        if _unfolds(graph, subgraph, triple):
            kept.append(_depth_to_space(graph, triple[0].inputs[0], triple[2].outputs[0]))
            del operators[:3]
        else:
            kept.append(operators.pop(0))
    return kept


def _unfolds(graph: Any, subgraph: Any, triple: Sequence[Any]) -> bool:
    """Whether three nodes in a row unfold the channels of each cell to 2x2 cells."""
    if [operation(graph, one) for one in triple] != [_OPERATORS.RESHAPE, _OPERATORS.TRANSPOSE, _OPERATORS.RESHAPE]:
        return False
    buffer = graph.buffers[subgraph.tensors[triple[1].inputs[1]].buffer].data
    order = np.frombuffer(bytes(buffer), np.int32)
    joined = triple[1].inputs[0] == triple[0].outputs[0] and triple[2].inputs[0] == triple[1].outputs[0]
    return joined and tuple(order) == _UNFOLDING


def _depth_to_space(graph: Any, source: int, target: int) -> Any:
    node = schema.OperatorT()
    node.opcodeIndex = _operator_code(graph, _OPERATORS.DEPTH_TO_SPACE)
    node.inputs, node.outputs = [source], [target]
    node.builtinOptionsType = schema.BuiltinOptions.DepthToSpaceOptions
    node.builtinOptions = schema.DepthToSpaceOptionsT()
    node.builtinOptions.blockSize = 2
    return node


def _operator_code(graph: Any, builtin: int) -> int:
    """Index of an operator in the model's table; added if it is not there."""
    codes = [entry.builtinCode for entry in graph.operatorCodes]
    if builtin in codes:
        return codes.index(builtin)
    entry = schema.OperatorCodeT()
    entry.builtinCode = entry.deprecatedBuiltinCode = builtin
    entry.version = 2  # the first that takes int8 as well
    graph.operatorCodes.append(entry)
    return len(codes)


def with_int8_unfolding(model: bytes) -> bytes:
    """A quantized model whose DEPTH_TO_SPACE, which the quantizer does not know, moves int8 cells as they are.

    The quantizer leaves DEQUANTIZE -> DEPTH_TO_SPACE -> QUANTIZE, one QUANTIZE for each scale that is read. The
    operation only moves values, so it takes the int8 tensor before the first and gives that behind the
    QUANTIZE of the same scale; what reads another scale quantizes that anew.
    """
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    (subgraph,) = graph.subgraphs
    for node in [one for one in subgraph.operators if operation(graph, one) == _OPERATORS.DEPTH_TO_SPACE]:
        dropped = _taken_in(graph, subgraph, node)
        subgraph.operators = [one for one in subgraph.operators if not any(one is gone for gone in dropped)]
    return packed(graph)


def _taken_in(graph: Any, subgraph: Any, node: Any) -> tuple[Any, ...]:
    """Join a node to the int8 tensors around it; gives the nodes that are then superfluous."""
    before = [one for one in subgraph.operators if node.inputs[0] in one.outputs]
    beside = [one for one in subgraph.operators if node.inputs[0] in one.inputs]
    behind = [one for one in subgraph.operators if node.outputs[0] in one.inputs]
    kinds = {operation(graph, one) for one in behind}
    if (len(beside), [operation(graph, one) for one in before]) != (1, [_OPERATORS.DEQUANTIZE]):
        return ()
    source = before[0].inputs[0]
    same = [one for one in behind if _one_scale(subgraph.tensors[source], subgraph.tensors[one.outputs[0]])]
    if kinds != {_OPERATORS.QUANTIZE} or not same:
        return ()
    node.inputs, node.outputs = [source], [same[0].outputs[0]]
    for other in behind:
        other.inputs = list(node.outputs)
    return before[0], same[0]


def _one_scale(left: Any, right: Any) -> bool:
    """Whether two quantized tensors mean the same by the same integers."""
    if left.quantization is None or right.quantization is None:
        return False
    scales = [(*one.quantization.scale, *one.quantization.zeroPoint) for one in (left, right)]
    return len(scales[0]) == 2 and scales[0] == scales[1]
